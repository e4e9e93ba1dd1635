"""int8: which layers stay in fp32, what it is quantised on, how far its labels agree."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.contract import Network
from pipeline.engines import open_engine
from pipeline.engines.exported import ConversionError
from pipeline.engines.intermediate import fp32_folder, int8_folder, read
from pipeline.engines.openvino import OpenVINOEngine, has_int8
from pipeline.engines.quantize import CONVOLUTIONS, batches, calibration_hash, outer_convolutions
from pipeline.engines.subject import Subject
from pipeline.errors import ResourceError

CPU = torch.device("cpu")


class TwoHeads(Network):
    """Two convolutions see the input, two make the output, two lie between."""

    divisor = 2

    def __init__(self) -> None:
        super().__init__(2, 1, 2)
        self.near, self.far = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 4, 3, padding=1, stride=2)
        self.inner, self.up = nn.Conv2d(4, 4, 3, padding=1), nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.one, self.two = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        near, far = torch.relu(self.near(x)), torch.relu(self.far(x))
        inner = torch.relu(self.inner(near))
        mean: Tensor = (self.one(inner) + self.two(torch.relu(self.up(far)))) / 2
        return mean


def test_the_outer_convolutions_are_found_from_the_graph() -> None:
    subject = Subject(TwoHeads().eval(), "b" * 64, (16, 16))
    model = read(fp32_folder(subject))
    outer = outer_convolutions(model)
    every = {op.get_friendly_name() for op in model.get_ops() if op.get_type_name() in CONVOLUTIONS}
    assert len(every) == 6
    shapes = {
        tuple(op.input(1).get_partial_shape().to_shape())
        for op in model.get_ops()
        if op.get_friendly_name() in every - outer
    }
    assert shapes == {(4, 4, 3, 3), (4, 4, 2, 2)}


def convolutions_with_integers(model: Any) -> int:
    """Convolutions whose input is quantised."""
    return sum(
        op.get_type_name() in CONVOLUTIONS
        and op.input_value(0).get_node().get_type_name() == "FakeQuantize"
        for op in model.get_ops()
    )


def test_the_first_and_the_last_convolution_stay_in_fp32(
    network: Network, windows: list[Tensor]
) -> None:
    subject = Subject(network, "a" * 64, (12, 12, 12), calibration=windows)
    assert convolutions_with_integers(read(int8_folder(subject))) == 1


def test_its_labels_agree_with_fp32(network: Network, windows: list[Tensor]) -> None:
    if "int8" not in OpenVINOEngine.precisions(CPU):
        pytest.skip("this CPU has no int8")
    engine = open_engine("openvino", "int8", network, "a" * 64, (12,) * 3, calibration=windows)
    assert isinstance(engine, OpenVINOEngine)
    assert engine.precision == "int8"
    assert has_int8(engine._requests[0].get_compiled_model())
    batched = [window[None] for window in windows]
    with torch.no_grad():
        wanted = torch.cat([network(batch).argmax(1) for batch in batched])
    found = torch.cat([logits.argmax(1) for logits in engine.run(batched)])
    assert float((found == wanted).float().mean()) > 0.98
    assert set(wanted.flatten().tolist()) == {0, 1, 2}


def test_without_windows_a_line_says_how_to_get_them(network: Network) -> None:
    nothing: tuple[list[Tensor] | None, ...] = (None, [])
    for none in nothing:
        with pytest.raises(ConversionError, match="the run keeps none") as refused:
            open_engine("openvino", "int8", network, "a" * 64, (12,) * 3, calibration=none)
        assert "--calibrate MANIFEST" in refused.value.hint


def test_windows_of_another_shape_are_refused(
    network: Network, windows_like: Callable[..., list[Tensor]]
) -> None:
    with pytest.raises(ConversionError, match=r"windows of \[1, 12, 12, 12\].*\[1, 8, 8, 8\]"):
        open_engine(
            "openvino", "int8", network, "a" * 64, (12,) * 3, calibration=windows_like(size=8)
        )


def test_other_windows_make_another_model(
    network: Network, windows: list[Tensor], cache: Path
) -> None:
    folders = [
        int8_folder(Subject(network, "a" * 64, (12,) * 3, calibration=chosen))
        for chosen in (windows[:2], windows[2:4], windows[:2])
    ]
    assert folders[0] == folders[2] != folders[1]
    assert calibration_hash(windows[:2]) != calibration_hash(windows[2:4])


def test_nncf_says_nothing_and_leaves_logging_alone(
    network: Network, windows: list[Tensor], cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import logging

    before = logging.getLoggerClass()
    int8_folder(Subject(network, "c" * 64, (12,) * 3, calibration=windows[:2]))
    assert logging.getLoggerClass() is before
    assert capfd.readouterr().out == ""


def test_a_missing_nncf_is_named(
    network: Network, windows: list[Tensor], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(ResourceError, match="int8 needs nncf") as refused:
        open_engine("openvino", "int8", network, "a" * 64, (12,) * 3, calibration=windows)
    assert refused.value.hint == "pip install 'unetworks[openvino]'"


def test_windows_fill_batches(windows: list[Tensor]) -> None:
    given = batches(windows[:3], 2)
    assert [array.shape for array in given] == [(2, 1, 12, 12, 12)] * 2
    assert (given[1][0] == windows[2].numpy()).all()
    assert (given[1][1] == windows[2].numpy()).all()
