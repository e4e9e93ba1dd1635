"""ResUNet++: residual blocks with squeeze-excite, attention, and pyramids of dilations."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.networks.aspp import ASPP
from pipeline.networks.layers import Layers, chain
from pipeline.networks.levels import LevelNetwork, check_widths
from pipeline.networks.residual import ResidualBlock, pre_activated

LEVELS = 5  # four of them resolutions; the last is the bridge at the fourth


class PooledAttention(nn.Module):
    """Multiply a decoder tensor by a map from the encoder's, of twice its resolution.

    Args:
        layers: Norm and activation.
        skip: Channels of the encoder tensor.
        width: Channels of the decoder tensor and of the result.
    """

    def __init__(self, layers: Layers, skip: int, width: int) -> None:
        super().__init__()
        self.skip = chain(*pre_activated(layers, skip, width), layers.pool())
        self.decoder = chain(*pre_activated(layers, width, width))
        self.weigh = chain(*pre_activated(layers, width, width))

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return `x` times the map; there is no sigmoid."""
        weighted: Tensor = self.weigh(self.skip(skip) + self.decoder(x)) * x
        return weighted


class ResUNetPP(LevelNetwork):
    """ResUNet with squeeze-excite blocks, attention before each up-sampling, and ASPP twice.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of the output, of three decoder levels and of the bridge, five in all.
        norm: "batch", "instance", "group" or None.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel of a block's branch is dropped.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: A number outside its range.
        UnknownNameError: No such norm or activation.

    Source: Jha et al., arXiv 1911.07067, and the authors' code.
    """

    divisor = 8

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        norm: str | None = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        widths = check_widths(widths, LEVELS)
        layers = Layers(spatial_dims, norm, activation, dropout)
        encoder, bridge = widths[:-1], widths[-1]
        self.encoder = nn.ModuleList(
            [
                ResidualBlock(layers, in_channels, encoder[0], stem=True, squeeze=True),
                *(
                    ResidualBlock(layers, before, after, stride=2, squeeze=True)
                    for before, after in pairwise(encoder)
                ),
            ]
        )
        self.bridge = ASPP(layers, encoder[-1], bridge)
        coarser = widths[2:]  # of the decoder tensor that enters each level, finest first
        self.attention = nn.ModuleList(
            PooledAttention(layers, skip, width)
            for skip, width in zip(encoder[:-1], coarser, strict=True)
        )
        self.up = layers.nearest()
        self.decoder = nn.ModuleList(
            ResidualBlock(layers, width + skip, result, squeeze=True)
            for skip, result, width in zip(encoder[:-1], encoder[1:], coarser, strict=True)
        )
        self.head = chain(
            ASPP(layers, encoder[1], encoder[0]), layers.conv(encoder[0], out_channels, 1)
        )
        if deep_supervision:
            self.add_heads(encoder[2:])

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        x = self.bridge(x)
        levels: list[Tensor] = []
        for level in reversed(range(len(self.decoder))):
            weighted = self.attention[level](skips[level], x)
            x = self.decoder[level](torch.cat([self.up(weighted), skips[level]], 1))
            levels.insert(0, x)
        return levels
