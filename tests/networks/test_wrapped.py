"""MONAI's classes behind our contract: equal to theirs, and right where theirs are wrong."""

from collections.abc import Callable
from typing import Any

import monai.networks.nets as monai
import pytest
import torch
from monai.networks.nets import mednext
from torch import Tensor, nn

from pipeline.contract import Network
from pipeline.networks import build_network

PATCH = {2: (64, 96), 3: (64, 32, 32)}
REFERENCES: dict[str, tuple[dict[str, Any], Callable[[int], nn.Module]]] = {
    "vnet": ({}, lambda dims: monai.VNet(dims, 1, 2)),
    "segresnet": ({}, lambda dims: monai.SegResNet(dims, 16, 1, 2)),
    "mednext": (
        {"size": "B"},
        lambda dims: mednext.create_mednext("B", dims, 1, 2),
    ),
    "swin_unetr": (
        {"feature_size": 12},
        lambda dims: monai.SwinUNETR(1, 2, feature_size=12, spatial_dims=dims),
    ),
    "unetr": (
        {"img_size": 32, "hidden_size": 96, "mlp_dim": 96, "num_heads": 4},
        lambda dims: monai.UNETR(
            1, 2, 32, hidden_size=96, mlp_dim=96, num_heads=4, spatial_dims=dims
        ),
    ),
    "dynunet": (
        {},
        lambda dims: monai.DynUNet(
            dims,
            1,
            2,
            [3] * 6,
            [1, 2, 2, 2, 2, 2],
            [2] * 5,
            norm_name=("instance", {"affine": True}),
        ),
    ),
}


@torch.no_grad()
def fill(network: nn.Module) -> None:
    """Give each parameter values that depend on its shape alone, whatever its name."""
    for parameter in network.parameters():
        generator = torch.Generator().manual_seed(parameter.numel())
        spread = 0.05 if parameter.ndim > 1 else 0.5
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", REFERENCES)
def test_the_output_equals_monai_s(name: str, dims: int) -> None:
    options, make = REFERENCES[name]
    ours, theirs = build_network(name, dims, 1, 2, **options).eval(), make(dims).eval()
    fill(ours)
    fill(theirs)
    size = (32,) * dims if name == "unetr" else PATCH[dims]
    x = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(x)
        assert torch.allclose(ours(x), expected, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("dims", [2, 3])
def test_mednext_returns_monai_s_heads_finest_first(dims: int) -> None:
    ours = build_network("mednext", dims, 1, 2, deep_supervision=True).train()
    theirs = mednext.create_mednext("S", dims, 1, 2, deep_supervision=True).train()
    fill(ours)
    fill(theirs)
    x = torch.randn(1, 1, *[32] * dims)
    with torch.no_grad():
        for head, expected in zip(ours(x), theirs(x), strict=True):
            assert torch.allclose(head, expected, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("channels", [1, 3, 5, 17])
def test_vnet_takes_any_number_of_channels(channels: int) -> None:
    network = build_network("vnet", 2, channels, 2).eval()
    assert network(torch.zeros(1, channels, 16, 16)).shape == (1, 2, 16, 16)


@pytest.mark.parametrize(("dims", "kind"), [(2, nn.Dropout2d), (3, nn.Dropout3d)])
def test_vnet_drops_channels_and_never_whole_samples(dims: int, kind: type[nn.Module]) -> None:
    modules = build_network("vnet", dims, 1, 2).modules()
    assert {type(m) for m in modules if isinstance(m, nn.modules.dropout._DropoutNd)} == {kind}


def test_unetr_s_dead_tensors_are_frozen_and_counted() -> None:
    small: dict[str, Any] = {"img_size": 32, "hidden_size": 96, "mlp_dim": 96, "num_heads": 4}
    network = build_network("unetr", 2, 1, 2, **small)
    frozen = [key for key, p in network.named_parameters() if not p.requires_grad]
    assert len(frozen) == 24
    assert all("norm_cross_attn" in key for key in frozen)


def storages(network: Network) -> list[int]:
    tensors: list[Tensor] = list(network.state_dict(keep_vars=True).values())
    return [tensor.data_ptr() for tensor in tensors if tensor.numel()]


@pytest.mark.parametrize("name", REFERENCES)
def test_no_tensor_has_two_names(name: str) -> None:
    found = storages(build_network(name, 2, 1, 2, **REFERENCES[name][0]))
    assert len(found) == len(set(found))
