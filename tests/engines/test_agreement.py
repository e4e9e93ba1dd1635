"""Every engine gives torch's logits for every kind of network, in 2D and 3D."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.contract import Network
from pipeline.engines import open_engine
from pipeline.networks import build_network, preset_options

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("unet", {}),
    "attunet": ("attunet", {}),
    "unetpp with all heads": ("unetpp", {"deep_supervision": True, "mode": "accurate"}),
    "r2unet": ("r2unet", {}),
    "instance norm": ("unet", {"norm": "instance"}),
}


def built(kind: str, dims: int) -> Network:
    name, more = KINDS[kind]
    torch.manual_seed(0)
    options = preset_options(name, "compact", dims)
    return build_network(name, dims, 1, 3, **{**options, **more}).eval()


def computed(name: str, network: Network, batches: list[Tensor], **more: Any) -> list[Tensor]:
    patch, batch = tuple(batches[0].shape[2:]), batches[0].shape[0]
    engine = open_engine(name, "fp32", network, "a" * 64, patch, batch, **more)
    assert (engine.name, engine.precision, engine.batch) == (name, "fp32", batch)
    try:
        return [logits.clone() for logits in engine.run(batches)]
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_openvino_gives_torchs_logits(kind: str, dims: int) -> None:
    check("openvino", kind, dims)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dims"), [("unet", 3), ("instance norm", 2)])
def test_onnxruntime_gives_torchs_logits(kind: str, dims: int) -> None:
    check("onnxruntime", kind, dims)


def check(name: str, kind: str, dims: int) -> None:
    network = built(kind, dims)
    size = network.next_size([32] * dims)
    batches = [torch.randn(1, 1, *size) for _ in range(2)]
    wanted = computed("torch", network, batches)
    found = computed(name, network, batches)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        assert torch.allclose(one, other, atol=1e-3 * float(other.abs().max()), rtol=0)


@pytest.mark.parametrize("name", ["torch", "openvino", "onnxruntime"])
def test_results_come_in_the_order_of_the_batches(
    name: str, network: Network, windows_like: Callable[..., list[Tensor]]
) -> None:
    batches = [window[None] for window in windows_like(number=9)]
    found = computed(name, network, batches)
    with torch.no_grad():
        for logits, batch in zip(found, batches, strict=True):
            assert torch.allclose(logits, network(batch), atol=1e-4)


@pytest.mark.parametrize("name", ["torch", "openvino", "onnxruntime"])
def test_a_last_batch_may_be_smaller(name: str, network: Network, windows: list[Tensor]) -> None:
    batches = [torch.stack(windows[:4]), torch.stack(windows[4:])]
    found = computed(name, network, batches)
    assert [len(logits) for logits in found] == [4, 2]
    with torch.no_grad():
        assert torch.allclose(found[1], network(batches[1]), atol=1e-4)


@pytest.mark.parametrize("name", ["torch", "openvino", "onnxruntime"])
def test_a_batch_may_be_overwritten_once_its_logits_are_there(
    name: str, network: Network, windows: list[Tensor]
) -> None:
    engine = open_engine(name, "fp32", network, "a" * 64, (12, 12, 12), streams=1)
    slots = [torch.empty(1, 1, 12, 12, 12) for _ in range(8)]
    free = list(range(8))

    def given() -> Any:
        for window in windows * 3:
            slot = free.pop(0)
            slots[slot][0] = window
            yield slots[slot]

    order = itertools.cycle(range(8))
    with torch.no_grad():
        for window, logits in zip(windows * 3, engine.run(given()), strict=True):
            assert torch.allclose(logits, network(window[None]), atol=1e-4)
            logits.zero_()  # ours until the next ones are asked for
            slot = next(order)
            slots[slot].fill_(float("nan"))
            free.append(slot)


@pytest.mark.parametrize("name", ["torch", "openvino", "onnxruntime"])
def test_a_run_may_be_left_and_another_begun(
    name: str, network: Network, windows: list[Tensor]
) -> None:
    engine = open_engine(name, "fp32", network, "a" * 64, (12, 12, 12))
    threads = torch.get_num_threads()
    run = iter(engine.run(window[None] for window in windows))
    next(run)
    run.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == threads
    (logits,) = engine.run([windows[3][None]])
    with torch.no_grad():
        assert torch.allclose(logits, network(windows[3][None]), atol=1e-4)
    engine.close()
    engine.close()


@pytest.mark.parametrize("name", ["torch", "openvino", "onnxruntime"])
def test_no_batches_give_no_logits(name: str, network: Network) -> None:
    engine = open_engine(name, "fp32", network, "a" * 64, (12, 12, 12))
    assert list(engine.run([])) == []
