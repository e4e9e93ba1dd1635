"""The plain body of most U-Nets: pool and block downwards, up-sample, merge and block upwards."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from pipeline.networks.checkpoint import run
from pipeline.networks.layers import Layers, Size
from pipeline.networks.levels import (
    LevelNetwork,
    Sizes,
    check_kernels,
    check_sizes,
    check_widths,
    divisor_of,
)

WIDTHS: Final = (64, 128, 256, 512, 1024)  # of the first U-Net and most of its kin
LEVELS: Final = (3, 6)  # fewest and most

Block = Callable[[int, int, Size], nn.Module]  # channels, width, kernel
Up = Callable[[int, int, Size, Size], nn.Module]  # coarse and fine width, stride, kernel
Joined = Callable[[int, int], int]  # fine and coarse width to the decoder block's channels


def twice(fine: int, coarse: int) -> int:
    """Channels of a merge of two tensors of the fine width."""
    return 2 * fine


class EncoderDecoder(LevelNetwork):
    """The body; a subclass says which block, which up-sampling and how the two are merged.

    `encoder` has a block per level, `ups` and `decoder` one for each level but the coarsest, all
    finest first.

    Args:
        layers: Norm, activation, dropout and the number of axes.
        in_channels: C of the input.
        out_channels: K of the logits.
        widths: Channels of each level, finest first.
        block: Makes a level's block, in the encoder and in the decoder.
        decoder_block: Makes the decoder's; None where it is the encoder's.
        up: Makes an up-sampling from a level to the next finer one.
        joined: Tells how many channels a merge has.
        levels: Fewest and most levels.
        strides: Pooling factor between levels, a number or one per axis; None for 2.
        kernels: Kernel size of each level's blocks; None for 3.
        deep_supervision: Whether the coarser decoder levels get heads.
        checkpoint: Whether blocks are computed again in the backward pass.

    Raises:
        InvalidValueError: Widths, strides or kernels outside their range.
    """

    def __init__(
        self,
        layers: Layers,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
        *,
        block: Block,
        decoder_block: Block | None = None,
        up: Up,
        joined: Joined = twice,
        levels: tuple[int, int] = LEVELS,
        strides: Sizes | None = None,
        kernels: Sizes | None = None,
        deep_supervision: bool = False,
        checkpoint: bool = False,
    ) -> None:
        super().__init__(layers.dims, in_channels, out_channels)
        self.widths = widths = check_widths(widths, *levels)
        self.strides = check_sizes("strides", strides, len(widths) - 1, layers.dims, 2)
        self.kernels = check_kernels(kernels, len(widths), layers.dims)
        self.divisor = divisor_of(self.strides)
        self.checkpoint = checkpoint
        steps = list(zip(pairwise(widths), self.strides, self.kernels[:-1], strict=True))
        self.encoder = nn.ModuleList(
            block(before, after, kernel)
            for (before, after), kernel in zip(
                pairwise((in_channels, *widths)), self.kernels, strict=True
            )
        )
        self.pools = nn.ModuleList(layers.pool(stride) for stride in self.strides)
        self.ups = nn.ModuleList(up(coarse, fine, s, k) for (fine, coarse), s, k in steps)
        self.decoder = nn.ModuleList(
            (decoder_block or block)(joined(fine, coarse), fine, k)
            for (fine, coarse), _, k in steps
        )
        self.head = layers.conv(widths[0], out_channels, 1)
        if deep_supervision:
            self.add_heads(widths[1:-1])

    def merge(self, up: Tensor, skip: Tensor, level: int) -> Tensor:
        """Join the up-sampled tensor and the skip of `level`; here skip first, then up."""
        return torch.cat([skip, up], 1)

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = run(block, self.pools[level - 1](x) if level else x, checkpointed=self.checkpoint)
            skips.append(x)
        levels: list[Tensor] = []
        for level in reversed(range(len(self.decoder))):
            x = self.merge(self.ups[level](x), skips[level], level)
            x = run(self.decoder[level], x, checkpointed=self.checkpoint)
            levels.insert(0, x)
        return levels
