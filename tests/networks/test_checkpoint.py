"""Gradient checkpointing saves memory and changes neither outputs, gradients nor statistics."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from pipeline.contract import Network
from pipeline.networks import build_network, preset_options
from pipeline.networks.checkpoint import run

HEAVY = [
    "unet3plus",
    "mednext",
    "r2unet",
    "r2attunet",
    "multiresunet",
    "unetpp",
    "attunet",
    "bcdunet",
]


def step(network: Network, x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Train once with a fixed seed; return the output and the number of values saved."""
    saved = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        saved += tensor.numel()
        return tensor

    torch.manual_seed(1)
    with saved_tensors_hooks(count, lambda tensor: tensor):
        output = network.train()(x)
    output.square().mean().backward()
    return output.detach(), saved


@pytest.mark.parametrize("name", HEAVY)
def test_a_checkpointed_step_is_the_same_with_less_memory(name: str) -> None:
    options: dict[str, Any] = preset_options(name, "compact", 2)
    pair = []
    for checkpoint in (False, True):
        torch.manual_seed(0)
        pair.append(build_network(name, 2, 1, 2, **options, checkpoint=checkpoint))
    plain, light = pair
    x = torch.randn(2, 1, 32, 32)
    (expected, most), (output, least) = step(plain, x), step(light, x)
    assert torch.allclose(output, expected, atol=1e-6)
    assert least < 0.7 * most
    for (key, a), b in zip(plain.named_parameters(), light.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-6), key
    for key, value in plain.state_dict().items():
        assert torch.allclose(value, light.state_dict()[key], atol=1e-6), key


def test_a_synchronised_norm_is_computed_again_and_counts_a_batch_once() -> None:
    block = nn.SyncBatchNorm.convert_sync_batchnorm(  # type: ignore[no-untyped-call]
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    )
    plain = copy.deepcopy(block)
    x = torch.randn(2, 1, 8, 8)
    run(block, x, checkpointed=True).square().mean().backward()  # type: ignore[no-untyped-call]
    plain(x).square().mean().backward()
    assert isinstance(block[1], nn.SyncBatchNorm)
    assert block[1].num_batches_tracked == 1
    for one, other in zip(block.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(one, other)
