"""U-Net with interpolation instead of transposed convolutions, and padding up to the skip."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import UnknownNameError
from pipeline.networks.double_conv import double_conv
from pipeline.networks.encoder_decoder import WIDTHS, EncoderDecoder
from pipeline.networks.layers import DROPOUT, Layers, Size, chain
from pipeline.networks.levels import Sizes

DROPPED_LEVELS = 2  # the coarsest ones


class UNetBilinear(EncoderDecoder):
    """U-Net with linear up-sampling and a 1x1 convolution; takes any size that can be pooled.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each level, finest first; 3 to 6 of them.
        up: "linear" for interpolation, 1x1 convolution and ReLU, or "transposed".
        dropout: Probability that a channel of the two coarsest encoder levels is dropped.
        norm: "batch", "instance", "group" or None.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        strides: Pooling factor between levels, a number or one per axis; None for 2 everywhere.
        kernels: Kernel size of each level, a number or one per axis; None for 3 everywhere.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: A number or size outside its range.
        UnknownNameError: No such norm, activation or up-sampling.

    Source: article 002.
    Deviations: logits instead of the article's sigmoid; any number of classes.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = WIDTHS,
        up: str = "linear",
        dropout: float = 0.5,
        norm: str | None = "batch",
        activation: str = "relu",
        strides: Sizes | None = None,
        kernels: Sizes | None = None,
        deep_supervision: bool = False,
    ) -> None:
        if up not in ("linear", "transposed"):
            raise UnknownNameError(f"there is no up {up!r}", hint="use linear or transposed")
        layers = Layers(spatial_dims, norm, activation, dropout).without_dropout()

        def enlarge(coarse: int, fine: int, stride: Size, _: Size) -> nn.Module:
            if up == "transposed":
                return layers.transposed(coarse, fine, stride)
            linear = layers.linear(stride, align_corners=True)
            return chain(linear, layers.conv(coarse, fine, 1), layers.activate())

        super().__init__(
            layers,
            in_channels,
            out_channels,
            widths,
            block=double_conv(layers),
            up=enlarge,
            strides=strides,
            kernels=kernels,
            deep_supervision=deep_supervision,
        )
        self.divisor = 1
        self.smallest = tuple(prod(axis) for axis in zip(*self.strides, strict=True))
        for level in range(len(self.widths) - DROPPED_LEVELS, len(self.widths)):
            self.encoder[level] = chain(self.encoder[level], DROPOUT[spatial_dims](dropout))

    def round_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Take any size that leaves one voxel at the bottleneck."""
        return tuple(max(n, least) for n, least in zip(size, self.smallest, strict=True))

    def bottleneck_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Size of the coarsest tensor: each pooling rounds down."""
        return tuple(n // least for n, least in zip(size, self.smallest, strict=True))

    def merge(self, up: Tensor, skip: Tensor, level: int) -> Tensor:
        """Pad the up-sampled tensor with zeros to the skip's size, and concatenate skip first."""
        missing = [a - b for a, b in zip(skip.shape[2:], up.shape[2:], strict=True)]
        if any(missing):
            sides = [side for n in reversed(missing) for side in (n // 2, n - n // 2)]
            up = functional.pad(up, sides)
        return torch.cat([skip, up], 1)
