"""Attention U-Net as published: gates on a coarser grid, and an output from all levels."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.networks.double_conv import DoubleConv
from pipeline.networks.grid_gate import GridGate
from pipeline.networks.layers import Layers
from pipeline.networks.levels import LevelNetwork, check_widths
from pipeline.networks.resize import resize

LEVELS = 5


class AttUNetGrid(LevelNetwork):
    """U-Net with grid gates on three skips; the finest skip is not gated.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each of the five levels, finest first.
        norm: "batch", "instance", "group" or None.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel is dropped at the end of a block.
        deep_supervision: Whether training returns a head for each decoder level, too.

    Raises:
        InvalidValueError: A number outside its range.
        UnknownNameError: No such norm or activation.

    Source: Oktay et al., arXiv 1804.03999; the authors' network for CT.
    """

    divisor = 16

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
        fine, coarse = widths[:-1], widths[-1]
        self.encoder = nn.ModuleList(
            DoubleConv(layers, before, after) for before, after in pairwise((in_channels, *widths))
        )
        self.pool = layers.pool()
        self.signal = layers.unit(coarse, coarse, 1)
        self.gates = nn.ModuleList(
            GridGate(layers, skip, signal) for skip, signal in pairwise(widths[1:])
        )
        self.up = layers.linear(align_corners=False)
        self.decoder = nn.ModuleList(
            DoubleConv(layers, after + before, after) for after, before in pairwise(widths)
        )
        self.level_logits = nn.ModuleList(layers.conv(width, out_channels, 1) for width in fine)
        self.head = layers.conv(len(fine) * out_channels, out_channels, 1)
        if deep_supervision:
            self.add_heads(fine[1:])

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        signal, levels = self.signal(x), list[Tensor]()
        for level in reversed(range(len(self.decoder))):
            skip = self.gates[level - 1](skips[level], signal) if level else skips[level]
            x = signal = self.decoder[level](torch.cat([skip, self.up(x)], 1))
            levels.insert(0, x)
        return levels

    def classify(self, levels: list[Tensor]) -> Tensor:
        """Join the four levels' logits at full size, finest first."""
        size = levels[0].shape[2:]
        single = [conv(x) for conv, x in zip(self.level_logits, levels, strict=True)]
        logits: Tensor = self.head(torch.cat([resize(x, size) for x in single], 1))
        return logits
