"""Training returns heads, best first; evaluation returns one tensor, the first of them."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.contract import Network
from pipeline.networks import NETWORKS, build_network, preset_options

FULL_SIZE = ("unetpp", "unetpp_zhou", "unet3plus", "crunet")
NATIVE = [name for name in NETWORKS if name not in (*FULL_SIZE, "unet_valid")]
SIZES = {"bionet": 64, "unet3d": 100}
NEVER = ("unet_valid",)


def supervised(name: str, dims: int) -> Network:
    torch.manual_seed(0)
    options: dict[str, Any] = preset_options(name, "compact", dims)
    return build_network(name, dims, 1, 2, **{**options, "deep_supervision": True})


def heads_of(network: Network, x: Tensor) -> list[Tensor]:
    """Training's output with dropout off and running statistics used."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd):
            module.eval()
    with torch.no_grad():
        output = network(x)
    assert isinstance(output, list)
    return output


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in NEVER])
def test_heads_come_finest_first_and_evaluation_is_the_first(name: str, dims: int) -> None:
    network = supervised(name, dims)
    size = network.next_size([SIZES.get(name, 32)] * dims)
    x = torch.randn(1, 1, *size)
    heads = heads_of(network, x)
    assert len(heads) == network.heads > 1
    shapes = [head.shape for head in heads]
    assert shapes[0] == (1, 2, *map(network.output_size, size))
    if name in FULL_SIZE:
        assert set(shapes) == {shapes[0]}
    else:
        for fine, coarse in pairwise(shapes):
            assert all(a > b for a, b in zip(fine[2:], coarse[2:], strict=True))
    with torch.no_grad():
        evaluation = network.eval()(x)
    assert isinstance(evaluation, Tensor)
    assert torch.allclose(evaluation, heads[0], atol=1e-5)


@pytest.mark.parametrize("name", NATIVE)
def test_every_head_and_what_feeds_it_gets_a_gradient(name: str) -> None:
    network = supervised(name, 2).train()
    x = torch.randn(2, 1, *network.next_size([SIZES.get(name, 32)] * 2))
    loss = torch.stack([head.square().mean() for head in network(x)]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", [name for name in NATIVE if name != "mednext"])
def test_the_heads_add_one_convolution_per_coarser_level_and_change_no_other_name(
    name: str,
) -> None:
    options = preset_options(name, "compact", 2)
    without = build_network(name, 2, 1, 2, **{**options, "deep_supervision": False})
    more = supervised(name, 2)
    added = {key.split(".")[0] for key in more.state_dict().keys() - without.state_dict().keys()}
    assert without.state_dict().keys() < more.state_dict().keys()
    assert added == {"deep_heads"}
    assert without.heads == 1
    assert more.heads == 1 + len(list(more.get_submodule("deep_heads").children()))


@pytest.mark.parametrize("name", ["unet", "attunet", "nnunet"])
def test_there_is_a_head_for_each_decoder_level_but_not_for_the_bottleneck(name: str) -> None:
    network = build_network(name, 2, 1, 2, widths=(4, 6, 8, 10, 12), deep_supervision=True)
    heads = heads_of(network, torch.randn(1, 1, 32, 32))
    assert [head.shape[-1] for head in heads] == [32, 16, 8, 4]


def test_crunet_and_the_nnunets_and_zhou_supervise_by_default() -> None:
    for name in NETWORKS:
        network = build_network(name, 2, 1, 2, **preset_options(name, "compact", 2))
        default = name in ("crunet", "unetpp_zhou", "nnunet", "nnunet_resenc")
        assert (network.heads > 1) == default
