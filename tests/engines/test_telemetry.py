"""OpenVINO and NNCF are kept from reporting home, whoever imported what before."""

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from pipeline.engines.telemetry import PACKAGE, silence


def test_the_package_can_no_longer_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    silence()
    silence()
    assert sys.modules[PACKAGE] is None
    with pytest.raises(ImportError):
        __import__(PACKAGE)


def test_what_is_loaded_already_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    class Telemetry:
        def init(self, *args: Any) -> None:
            sent.append(args)

        def send_event(self, *args: Any) -> None:
            sent.append(args)

        def send_stack_trace(self, *args: Any) -> None:
            sent.append(args)

    module = ModuleType(PACKAGE)
    module.Telemetry = Telemetry  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, PACKAGE, module)
    sender = Telemetry()
    silence()
    sender.init("id")
    sender.send_event("ovc", "version")
    sender.send_stack_trace("ovc", "trace")
    assert sent == []


def test_opening_an_engine_silences_before_the_first_import() -> None:
    code = (
        "import sys\n"
        "from pipeline.engines.openvino import OpenVINOEngine\n"
        "import torch\n"
        "assert 'openvino' not in sys.modules\n"
        "OpenVINOEngine.precisions(torch.device('cpu'))\n"
        "assert 'openvino' in sys.modules\n"
        f"assert sys.modules[{PACKAGE!r}] is None\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
