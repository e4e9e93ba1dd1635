"""OpenVINO computes in what it was asked for, on torch's cores, and says what it can't take."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.contract import Network
from pipeline.engines import open_engine
from pipeline.engines.exported import ConversionError
from pipeline.engines.intermediate import fp32_folder, read
from pipeline.engines.openvino import OpenVINOEngine, refuse_other_precision
from pipeline.engines.subject import Subject
from pipeline.engines.threads import own_threads

CPU = torch.device("cpu")


def opened(network: Network, precision: str = "fp32", **more: Any) -> OpenVINOEngine:
    engine = open_engine("openvino", precision, network, "a" * 64, (12, 12, 12), **more)
    assert isinstance(engine, OpenVINOEngine)
    return engine


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_precision_is_the_one_asked_for_and_read_back(precision: str, network: Network) -> None:
    if precision not in OpenVINOEngine.precisions(CPU):
        pytest.skip(f"this CPU has no {precision}")
    engine = opened(network, precision)
    compiled = engine._requests[0].get_compiled_model()
    hint = {"fp32": "f32", "bf16": "bf16"}[precision]
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == hint
    kinds = {
        op.get_rt_info()["runtimePrecision"].astype(str)
        for op in compiled.get_runtime_model().get_ops()
        if op.get_rt_info()["layerType"].astype(str) == "Convolution"
    }
    assert kinds == {hint}


def test_another_precision_than_asked_for_is_refused() -> None:
    hint = SimpleNamespace(to_string=lambda: "bf16")
    compiled = SimpleNamespace(get_property=lambda name: hint)
    with pytest.raises(ConversionError, match="computes this network in bf16 when asked for fp32"):
        refuse_other_precision(compiled, "fp32")


def test_int8_without_an_integer_convolution_is_refused(network: Network) -> None:
    compiled = opened(network)._requests[0].get_compiled_model()
    with pytest.raises(ConversionError, match="in fp32 when asked for int8"):
        refuse_other_precision(compiled, "int8")


def test_the_model_in_the_cache_is_of_one_shape_and_keeps_fp32_weights(network: Network) -> None:
    model = read(fp32_folder(Subject(network, "a" * 64, (12, 12, 12), batch=2)))
    assert list(model.input(0).shape) == [2, 1, 12, 12, 12]
    assert list(model.output(0).shape) == [2, 3, 12, 12, 12]
    constants = [op for op in model.get_ops() if op.get_type_name() == "Constant"]
    kinds = {op.get_element_type().get_type_name() for op in constants}
    assert "f32" in kinds
    assert "f16" not in kinds


def test_torch_has_one_thread_while_openvino_computes(
    network: Network, windows: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        engine, other = opened(network), opened(network)
        assert (engine.threads, engine.streams) == (2, 2)
        first, second = engine.run([windows[0][None]]), other.run([windows[0][None]])
        next(first)
        next(second)
        assert (torch.get_num_threads(), own_threads()) == (1, 2)
        assert list(first) == []  # ends before the second
        assert torch.get_num_threads() == 1
        assert list(second) == []
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_there_are_no_more_streams_than_threads(network: Network) -> None:
    assert opened(network, streams=64).streams <= own_threads()
    assert opened(network, streams=1).streams == 1


class Branching(Network):
    """Control flow by values, which no export can follow."""

    divisor = 1

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if float(x.sum()) > 0 else x


class Exotic(Network):
    """An operation that OpenVINO does not know."""

    divisor = 1

    def forward(self, x: Tensor) -> Tensor:
        values: Tensor = torch.linalg.eigvals(x).real
        return values.unsqueeze(-1) + x


@pytest.mark.parametrize(
    ("kind", "what"), [(Branching, "torch.export failed"), (Exotic, "OpenVINO's conversion failed")]
)
def test_a_network_that_cant_be_converted_is_refused_in_one_line(
    kind: type[Network], what: str
) -> None:
    network = kind(2, 1, 1)
    with pytest.raises(ConversionError, match=what) as refused:
        open_engine("openvino", "fp32", network, "a" * 64, (8, 8))
    line = refused.value.line()
    assert line.endswith("use another engine, such as torch")
    assert len(line) < 300


def test_a_network_in_training_is_converted_in_evaluation(windows: list[Tensor]) -> None:
    class Dropped(Network):
        divisor = 1

        def __init__(self) -> None:
            super().__init__(3, 1, 2)
            self.layers = nn.Sequential(nn.Conv3d(1, 2, 1), nn.Dropout(0.9))

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)  # type: ignore[no-any-return]

    network = Dropped().train()
    (logits,) = opened(network).run([windows[0][None]])
    with torch.no_grad():
        assert torch.allclose(logits, network.eval()(windows[0][None]), atol=1e-5)
