"""Nothing phones home: training and prediction run with every socket but the loopback blocked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import ATTUNET, ROOT, base, shared_run, shared_set

__all__ = ["base"]

# Runs first in every Python process of the test; an attempt is noted even where it is caught.
BLOCKER = """
import os, socket

LOOPBACK = ("127.", "::1", "localhost")
connect, lookup = socket.socket.connect, socket.getaddrinfo


def refuse(what):
    with open(os.environ["ATTEMPTS"], "a") as stream:
        stream.write(f"{what}\\n")
    raise OSError(f"blocked: {what}")


def inside(host):
    return host in (None, "", b"") or str(host).startswith(LOOPBACK)


class Blocked(socket.socket):
    def connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not inside(address[0]):
            refuse(address)
        return super().connect(address)

    def connect_ex(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not inside(address[0]):
            refuse(address)
        return super().connect_ex(address)

    def sendto(self, data, *more):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not inside(more[-1][0]):
            refuse(more[-1])
        return super().sendto(data, *more)


def blocked_lookup(host, *more, **named):
    return lookup(host, *more, **named) if inside(host) else refuse(host)


socket.socket = Blocked
socket.getaddrinfo = blocked_lookup
for name in ("gethostbyname", "gethostbyname_ex"):
    plain = getattr(socket, name)
    setattr(socket, name, lambda host, plain=plain: plain(host) if inside(host) else refuse(host))
"""


def blocked(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder` behind the blocker; `CI`, which silences telemetry, is unset."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(BLOCKER)
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]),
        "ATTEMPTS": str(folder / "attempts"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def attempts(folder: Path) -> list[str]:
    file = folder / "attempts"
    return file.read_text().splitlines() if file.exists() else []


def test_the_blocker_blocks_and_notes(tmp_path: Path) -> None:
    code = "import urllib.request as u; u.urlopen('http://example.org', timeout=5)"
    done = blocked(tmp_path, "-c", code)
    assert done.returncode == 1
    assert "blocked: example.org" in done.stderr
    assert attempts(tmp_path) == ["example.org"]
    direct = "import socket; socket.create_connection(('192.0.2.1', 80), 5)"
    assert "blocked" in blocked(tmp_path, "-c", direct).stderr
    home = "import socket; s = socket.create_server(('127.0.0.1', 0)); "
    home += "socket.create_connection(s.getsockname(), 5)"
    assert blocked(tmp_path, "-c", home).returncode == 0


@pytest.mark.slow
def test_a_training_reaches_for_no_network(tmp_path: Path, base: Path) -> None:
    # tracking makes its own database here: that too must stay at home
    done = blocked(
        tmp_path, "-m", "monai.bundle", "run", "training",
        "--config_file", str(ATTUNET / "train.json"), "--manifest", str(shared_set(base)),
        "--max_epochs", "1", "--epoch_length", "1", "--patch", "[24,24,16]", "--batch_size", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mean Dice" in done.stdout
    assert (tmp_path / "runs" / "mlflow.db").is_file()
    assert attempts(tmp_path) == []


@pytest.mark.slow
def test_a_prediction_reaches_for_no_network(tmp_path: Path, base: Path) -> None:
    run = shared_run(base).run
    image = shared_set(base).parent / "images" / "c4.nii.gz"
    done = blocked(
        tmp_path, "-m", "pipeline.cli", "predict", str(run), str(image), str(tmp_path / "m.nii.gz")
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m.nii.gz").is_file()
    assert attempts(tmp_path) == []


@pytest.mark.slow
def test_an_export_and_a_quantisation_reach_for_no_network(tmp_path: Path, base: Path) -> None:
    run = shared_run(base, dims=2).run
    code = f"""
from pipeline.cli import main
for words in (["onnx"], ["openvino", "--precision", "int8"]):
    assert main(["export", {str(run)!r}, "out", "--format", *words]) == 0
"""
    done = blocked(tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model.onnx").is_file()
    assert (tmp_path / "out" / "model.xml").is_file()
    assert attempts(tmp_path) == []
