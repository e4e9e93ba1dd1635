import platform
from pathlib import Path

import pytest
import torch

from pipeline import __version__
from pipeline.cli import info, main


def test_info_prints_what_a_bug_report_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UNETWORKS_DATA", str(tmp_path / "sets"))
    assert main(["info"]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    found = {name.strip(): value.strip() for name, value in rows.items()}
    assert found["unetworks"] == __version__
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert found["data"] == str(tmp_path / "sets")
    assert "torch" in found["engines"].split(", ")
    asked = {"commit", "cpu", "cpu capabilities", "cores", "memory", "device", "cache", "monai"}
    assert asked <= set(found)
    assert all(found[name] for name in asked)


def test_a_package_that_is_not_there_is_absent() -> None:
    assert info.installed("no-such-distribution") == "absent"
    assert info.installed("torch") != "absent"


def test_the_device_is_the_gpu_or_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert info.device() == "cpu"
