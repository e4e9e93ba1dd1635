"""torch's own forward: the allocator, the threads, autocast, a closed engine."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor

from pipeline.contract import Network
from pipeline.engines import eager, open_engine, tensorrt
from pipeline.engines.subject import Subject
from pipeline.engines.threads import own_threads, torch_held_back, torch_threads


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_logits_may_be_changed_in_place_and_carry_no_graph(
    network: Network, windows: list[Tensor]
) -> None:
    engine = open_engine("torch", "fp32", network, "a" * 64, (12, 12, 12))
    (logits,) = engine.run([windows[0][None]])
    assert not logits.requires_grad
    logits += 1


def test_bf16_is_computed_in_bf16_and_handed_back_in_fp32(
    network: Network, windows: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    kinds: list[torch.dtype] = []
    network.get_submodule("last").register_forward_hook(lambda m, i, o: kinds.append(o.dtype))
    engine = open_engine("torch", "bf16", network, "a" * 64, (12, 12, 12))
    (logits,) = engine.run([windows[0][None]])
    assert (kinds, logits.dtype, engine.precision) == ([torch.bfloat16], torch.float32, "bf16")


def test_opening_tunes_the_allocator(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    monkeypatch.setattr(eager, "tune_for_windows", lambda: told.append(True))
    open_engine("torch", "fp32", network, "a" * 64, (12, 12, 12)).close()
    assert told == [True]


def test_it_computes_with_its_own_threads_beside_another_engine(
    network: Network, windows: list[Tensor], two_threads: None
) -> None:
    seen: list[int] = []
    network.register_forward_hook(lambda m, i, o: seen.append(torch.get_num_threads()))
    with torch_held_back():
        engine = open_engine("torch", "fp32", network, "a" * 64, (12, 12, 12))
        list(engine.run([windows[0][None]]))
        assert torch.get_num_threads() == 1
    assert (engine.threads, seen, torch.get_num_threads()) == (2, [2], 2)


def test_torch_is_held_back_until_the_last_engine_ends(two_threads: None) -> None:
    first, second = torch_held_back(), torch_held_back()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (torch.get_num_threads(), own_threads()) == (1, 2)
    second.__exit__(None, None, None)
    assert torch.get_num_threads() == 2


def test_no_number_of_threads_leaves_torch_alone(two_threads: None) -> None:
    with torch_threads(0):
        assert torch.get_num_threads() == 2
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_a_gpu_that_only_emulates_bf16_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert eager.EagerEngine.precisions(torch.device("cuda")) == ("fp32", "fp16")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_measures_its_kernels_in_every_precision(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.dtype] = []

    def cast(kind: str, dtype: torch.dtype) -> AbstractContextManager[None]:
        asked.append(dtype)
        return nullcontext()

    monkeypatch.setattr(torch, "autocast", cast)
    before = torch.backends.cudnn.benchmark
    with eager.autocast(torch.device("cuda"), precision):
        assert torch.backends.cudnn.benchmark
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.benchmark == before
    assert asked == [eager.DTYPES[name] for name in (precision,) if name != "fp32"]


def test_tensorrt_builds_on_the_gpu_that_is_asked_for(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runtime is played: each thing that belongs to a GPU notes the current one."""
    current: list[torch.device] = []
    seen: list[tuple[str, list[torch.device]]] = []

    @contextmanager
    def on(device: torch.device) -> Iterator[None]:
        current.append(device)
        yield
        current.pop()

    played = MagicMock()

    def building(*_: object) -> bytes:
        seen.append(("plan", [*current]))
        return b"plan"

    def builder(logger: object) -> MagicMock:
        seen.append(("builder", [*current]))
        return MagicMock(build_serialized_network=building)

    played.Builder = builder
    monkeypatch.setitem(sys.modules, "tensorrt", played)
    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(tensorrt, "onnx_folder", lambda subject: tmp_path)
    gpu = torch.device("cuda:1")
    subject = Subject(network, "a" * 64, (12, 12, 12), device=gpu)
    tensorrt.build(subject, "fp16", tmp_path / "model.plan")
    assert seen == [("builder", [gpu]), ("plan", [gpu])]
    assert (tmp_path / "model.plan").read_bytes() == b"plan"


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["torch", "compile", "tensorrt"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_gpu_gives_the_cpus_logits_in_order(
    name: str, precision: str, network: Network, windows: list[Tensor]
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if name == "tensorrt":
        pytest.importorskip("tensorrt")
    with torch.no_grad():
        wanted = [network(window[None]) for window in windows]
    device = torch.device("cuda")
    network.to(device)
    engine = open_engine(name, precision, network, "a" * 64, (12, 12, 12), 1, device)
    loose = 1e-3 if precision == "fp32" else 2e-2
    for logits, other in zip(engine.run(w[None] for w in windows), wanted, strict=True):
        apart = float((logits.cpu() - other).abs().max())
        assert apart <= loose * float(other.abs().max())
    assert engine.threads == 0
