"""What is refused before an engine is opened, in one line that says what to do."""

import sys

import pytest
import torch

from pipeline.contract import Network
from pipeline.engines import ENGINES, open_engine
from pipeline.engines.openvino import OpenVINOEngine
from pipeline.engines.table import engine_kind
from pipeline.errors import InvalidValueError, PipelineError, ResourceError, UnknownNameError

CUDA = torch.device("cuda")


def opened(network: Network, name: str, precision: str = "fp32") -> None:
    open_engine(name, precision, network, "a" * 64, (12, 12, 12)).close()


@pytest.mark.parametrize("name", ENGINES)
def test_each_row_is_a_class_of_that_name(name: str) -> None:
    assert engine_kind(name).name == name


def test_an_unknown_engine_is_refused_with_the_nearest(network: Network) -> None:
    with pytest.raises(UnknownNameError, match="no engine 'openvin'") as refused:
        opened(network, "openvin")
    assert refused.value.hint == "try openvino"
    with pytest.raises(UnknownNameError) as refused:
        opened(network, "xyz")
    assert "onnxruntime" in refused.value.hint


def test_an_unknown_precision_is_refused(network: Network) -> None:
    with pytest.raises(InvalidValueError, match="no precision 'fp8'") as refused:
        opened(network, "torch", "fp8")
    assert refused.value.hint == "use fp32, bf16, fp16, int8"


@pytest.mark.parametrize(
    ("name", "package", "command"),
    [
        ("openvino", "openvino", "pip install 'unetworks[openvino]'"),
        ("onnxruntime", "onnxruntime", "pip install 'unetworks[onnx]'"),
        ("onnxruntime", "onnxscript", "pip install 'unetworks[onnx]'"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_brings_it(
    name: str, package: str, command: str, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ResourceError, match=f"{name} needs {package}") as refused:
        opened(network, name)
    assert refused.value.hint == command


def test_a_precision_that_the_engine_has_not_is_refused_with_those_it_has(
    network: Network,
) -> None:
    with pytest.raises(InvalidValueError, match="onnxruntime has no int8 on this CPU") as refused:
        opened(network, "onnxruntime", "int8")
    assert refused.value.hint == "use fp32"


def test_a_precision_that_the_cpu_has_not_is_refused(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(InvalidValueError, match="torch has no bf16 on this CPU"):
        opened(network, "torch", "bf16")
    monkeypatch.setattr(OpenVINOEngine, "precisions", lambda device: ("fp32", "int8"))
    with pytest.raises(InvalidValueError, match="openvino has no bf16 on this CPU") as refused:
        opened(network, "openvino", "bf16")
    assert refused.value.hint == "use fp32, int8"


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_for_cpus_refuses_a_gpu(name: str) -> None:
    with pytest.raises(ResourceError, match=f"{name} computes on the CPU only"):
        engine_kind(name).require(CUDA)


def test_tensorrt_refuses_a_cpu_and_names_its_package_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = engine_kind("tensorrt")
    with pytest.raises(ResourceError, match="tensorrt computes on GPUs only"):
        kind.require(torch.device("cpu"))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(ResourceError, match="tensorrt needs tensorrt") as refused:
        kind.require(CUDA)
    assert refused.value.hint == "pip install tensorrt"


def test_compile_refuses_where_there_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ResourceError, match=r"compile needs a C\+\+ compiler"):
        engine_kind("compile").require(torch.device("cpu"))


def test_a_refusal_is_one_line(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(PipelineError) as refused:
        opened(network, "openvino")
    assert refused.value.line() == "openvino needs openvino; pip install 'unetworks[openvino]'"
