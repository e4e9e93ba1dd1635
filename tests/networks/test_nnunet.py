"""The two nnU-Nets against the package they are specified by, where it is installed."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import InvalidValueError
from pipeline.networks import build_network

WIDTHS = (8, 12, 16, 20, 20)
TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "nnunet": ("PlainConvUNet", {"n_conv_per_stage": 2, "n_conv_per_stage_decoder": 2}),
    "nnunet_resenc": (
        "ResidualEncoderUNet",
        {"n_blocks_per_stage": (1, 3, 4, 6, 6), "n_conv_per_stage_decoder": 1},
    ),
}


@torch.no_grad()
def fill(network: nn.Module) -> None:
    """Give each parameter values that depend on its shape alone, whatever its name."""
    for parameter in network.parameters():
        generator = torch.Generator().manual_seed(parameter.numel())
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", TABLE)
def test_heads_and_count_equal_the_package_s(name: str, dims: int) -> None:
    package = pytest.importorskip(
        "dynamic_network_architectures.architectures.unet", exc_type=ImportError
    )
    kind, blocks = TABLE[name]
    flat = (*(2,) * (dims - 1), 1)
    reference = getattr(package, kind)(
        input_channels=1,
        n_stages=5,
        features_per_stage=WIDTHS,
        conv_op=nn.Conv2d if dims == 2 else nn.Conv3d,
        kernel_sizes=3,
        strides=[1, flat, 2, 2, 2],
        num_classes=2,
        conv_bias=True,
        norm_op=nn.InstanceNorm2d if dims == 2 else nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
        **blocks,
    ).train()
    ours = build_network(name, dims, 1, 2, widths=WIDTHS, strides=(flat, 2, 2, 2)).train()
    fill(ours)
    fill(reference)
    x = torch.randn(1, 1, *[32] * dims)
    heads: list[Tensor] = ours(x)
    assert sum(p.numel() for p in ours.parameters()) == sum(
        p.numel() for p in reference.parameters()
    )
    for head, expected in zip(heads, reference(x), strict=True):
        assert torch.allclose(head, expected, atol=1e-4)


def test_the_lower_heads_exist_only_with_deep_supervision() -> None:
    network = build_network("nnunet", 2, 1, 2, widths=WIDTHS, deep_supervision=False).train()
    output = network(torch.randn(1, 1, 32, 32))
    assert isinstance(output, Tensor)
    output.square().mean().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("stages", [2, 3, 7])
@pytest.mark.parametrize("name", TABLE)
def test_any_number_of_stages_works(name: str, stages: int) -> None:
    network = build_network(name, 2, 1, 2, widths=(4,) * stages).eval()
    assert network.divisor == 2 ** (stages - 1)
    assert network(torch.zeros(1, 1, 128, 64)).shape == (1, 2, 128, 64)


def test_instance_norm_needs_two_voxels_at_the_bottleneck() -> None:
    network = build_network("nnunet", 2, 1, 2, widths=(4, 4, 4)).eval()
    assert network.next_size((1, 1)) == (8, 4)
    with pytest.raises(InvalidValueError, match="size 4x4") as caught:
        network(torch.zeros(2, 1, 4, 4))
    assert "8x4" in caught.value.hint
