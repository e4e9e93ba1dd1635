"""ResUNet: pre-activated residual blocks in a U of three poolings by stride."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.networks.layers import Layers
from pipeline.networks.levels import LevelNetwork, check_widths
from pipeline.networks.residual import ResidualBlock

LEVELS = 4


class ResUNet(LevelNetwork):
    """Deep residual U-Net: strided blocks downwards, nearest-neighbour up-sampling.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each of the four levels, finest first; the last is the bridge.
        norm: "batch", "instance", "group" or None.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel of a block's branch is dropped.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: A number outside its range.
        UnknownNameError: No such norm or activation.

    Source: Zhang et al., arXiv 1711.10684.
    """

    divisor = 8

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        norm: str | None = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        widths = check_widths(widths, LEVELS)
        layers = Layers(spatial_dims, norm, activation, dropout)
        stem = ResidualBlock(layers, in_channels, widths[0], stem=True)
        self.encoder = nn.ModuleList(
            [stem, *(ResidualBlock(layers, a, b, stride=2) for a, b in pairwise(widths))]
        )
        self.up = layers.nearest()
        self.decoder = nn.ModuleList(
            ResidualBlock(layers, coarse + fine, fine) for fine, coarse in pairwise(widths)
        )
        self.head = layers.conv(widths[0], out_channels, 1)
        if deep_supervision:
            self.add_heads(widths[1:-1])

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        levels: list[Tensor] = []
        for skip, block in zip(reversed(skips[:-1]), reversed(self.decoder), strict=True):
            x = block(torch.cat([self.up(x), skip], 1))
            levels.insert(0, x)
        return levels
