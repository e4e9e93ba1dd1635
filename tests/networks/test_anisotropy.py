"""Strides and kernels per axis, for voxels that are longer along one axis."""

from typing import Any

import pytest
import torch

from pipeline.networks import build_network

FLAT: dict[str, Any] = {
    "widths": (4, 8, 12),
    "strides": ((2, 2, 1), (2, 2, 2)),
    "kernels": ((3, 3, 1), (3, 3, 3), 3),
}
NAMES = [
    "unet",
    "unet_plain",
    "unet_bilinear",
    "unet_compact",
    "unet_vgg",
    "attunet",
    "r2unet",
    "r2attunet",
    "crunet",
    "nnunet",
    "nnunet_resenc",
    "dynunet",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_thick_axis_is_not_pooled_in_the_first_level(name: str) -> None:
    network = build_network(name, 3, 1, 2, **FLAT).eval()
    assert network.round_size((1, 1, 1)) == (4, 4, 2)
    assert network.divisor == (1 if name == "unet_bilinear" else (4, 4, 2))
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 8, 12, 2)).shape == (1, 2, 8, 12, 2)


@pytest.mark.parametrize("name", ["unet", "attunet"])
def test_a_flat_kernel_has_no_weights_along_its_thick_axis(name: str) -> None:
    network = build_network(name, 3, 1, 2, **FLAT)
    assert network.get_parameter("encoder.0.0.weight").shape[2:] == (3, 3, 1)
    assert network.get_parameter("encoder.1.0.weight").shape[2:] == (3, 3, 3)


@pytest.mark.parametrize("name", ["unet", "attunet", "nnunet"])
def test_heads_follow_the_strides(name: str) -> None:
    network = build_network(name, 3, 1, 2, **FLAT, deep_supervision=True).train()
    heads = network(torch.randn(2, 1, 8, 8, 4))
    assert [tuple(head.shape[2:]) for head in heads] == [(8, 8, 4), (4, 4, 4)]


def test_equal_strides_on_all_axes_give_one_number() -> None:
    network = build_network("unet", 3, 1, 2, widths=(4, 8, 12), strides=(4, (2, 2, 2)))
    assert network.divisor == 8
