"""MultiResUNet: blocks of three receptive fields, and residual paths instead of skips."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.errors import InvalidValueError
from pipeline.networks.checkpoint import run
from pipeline.networks.layers import Layers
from pipeline.networks.levels import LevelNetwork, check_widths
from pipeline.networks.multires import MultiResBlock, ResPath, multires_widths

LEVELS = 5


class MultiResUNet(LevelNetwork):
    """U-Net of MultiRes blocks with residual paths and transposed up-convolutions.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Nominal channels of each of the five levels, finest first, from 4 on.
        alpha: Factor on the nominal channels.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel is dropped at the end of a block.
        deep_supervision: Whether training returns a head for each decoder level.
        checkpoint: Whether blocks are computed again in the backward pass, to save memory.

    Raises:
        InvalidValueError: A number outside its range, or widths too small to share out.
        UnknownNameError: No such activation.

    Source: Ibtehaz and Rahman, arXiv 1902.04049, and the authors' code.
    """

    divisor = 16

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = (32, 64, 128, 256, 512),
        alpha: float = 1.67,
        activation: str = "relu",
        dropout: float = 0.0,
        deep_supervision: bool = False,
        checkpoint: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        widths = check_widths(widths, LEVELS)
        layers = Layers(spatial_dims, "batch", activation, dropout)
        block_widths = [sum(multires_widths(width, alpha)) for width in widths]
        if min(min(multires_widths(width, alpha)) for width in widths) < 1:
            raise InvalidValueError(
                f"widths {list(widths)} leave a convolution without channels",
                hint=f"use widths from {int(6 / alpha) + 1} on",
            )
        self.checkpoint = checkpoint
        inputs = (in_channels, *block_widths[:-1])
        self.encoder = nn.ModuleList(
            MultiResBlock(layers, channels, width, alpha)
            for channels, width in zip(inputs, widths, strict=True)
        )
        self.pool = layers.pool()
        fine = list(enumerate(widths[:-1]))
        self.paths = nn.ModuleList(
            ResPath(layers, block_widths[k], width, len(fine) - k) for k, width in fine
        )
        self.ups = nn.ModuleList(layers.transposed(block_widths[k + 1], width) for k, width in fine)
        self.decoder = nn.ModuleList(
            MultiResBlock(layers, 2 * width, width, alpha) for _, width in fine
        )
        self.head = layers.conv(block_widths[0], out_channels, 1)
        if deep_supervision:
            self.add_heads(block_widths[1:-1])

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = run(block, self.pool(x) if level else x, checkpointed=self.checkpoint)
            skips.append(x)
        levels: list[Tensor] = []
        for level in reversed(range(len(self.decoder))):
            path = run(self.paths[level], skips[level], checkpointed=self.checkpoint)
            x = run(
                self.decoder[level],
                torch.cat([self.ups[level](x), path], 1),
                checkpointed=self.checkpoint,
            )
            levels.insert(0, x)
        return levels
