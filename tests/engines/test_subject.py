"""What tells two networks with the same weights apart."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.contract import Network
from pipeline.engines import subject
from pipeline.engines.machine import cpu_name
from pipeline.engines.subject import Subject, structure
from pipeline.networks import build_network, preset_options


def test_the_shape_is_batch_channels_and_window(network: Network) -> None:
    assert Subject(network, "a" * 64, (8, 12, 16), 3).shape == (3, 1, 8, 12, 16)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("r2unet", {"t": 1}, {"t": 2}),
        ("unetpp", {"level": 2}, {"level": 3}),
        ("unetpp", {"mode": "fast"}, {"mode": "accurate"}),
    ],
)
def test_options_that_no_weight_shows_tell_networks_apart(
    name: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    options = preset_options(name, "compact", 2)
    if name == "unetpp":
        options["deep_supervision"] = True
    first, same, second = (
        build_network(name, 2, 1, 2, **{**options, **more}) for more in (one, one, other)
    )
    assert structure(first) == structure(same) != structure(second)


def test_training_and_weights_do_not(blobs_of: Callable[..., Network]) -> None:
    first, second = blobs_of().train(), blobs_of().eval()
    second.get_parameter("last.weight").data.mul_(2)
    assert structure(first) == structure(second)


@pytest.mark.parametrize("changed", ["network", "helper"])
def test_another_version_of_our_code_tells_networks_apart(
    changed: str, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Helper:
        __module__ = "pipeline.networks.helper"

    for name, used in (("network", Helper), ("helper", None)):
        module = ModuleType(f"pipeline.networks.{name}")
        module.__file__ = str(tmp_path / f"{name}.py")
        (tmp_path / f"{name}.py").write_text("return x")
        vars(module)["used"] = used
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(type(network), "__module__", "pipeline.networks.network")
    found = []
    for code in ("return x", "return 2 * x", "return x"):
        (tmp_path / f"{changed}.py").write_text(code)
        subject._sum.cache_clear()
        found.append(structure(network))
    assert found[0] == found[2] != found[1]
    subject._sum.cache_clear()


@pytest.mark.slow
def test_the_name_is_the_same_in_every_process() -> None:
    code = (
        "from pipeline.networks import build_network\n"
        "from pipeline.engines.subject import structure\n"
        "print(structure(build_network('attunet', 2, 1, 2)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
        ).stdout
        for _ in range(2)
    }
    assert found == {structure(build_network("attunet", 2, 1, 2)) + "\n"}


def test_the_processor_has_a_name() -> None:
    assert cpu_name().strip()
