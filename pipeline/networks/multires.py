"""The two building blocks of MultiResUNet."""

import torch
from torch import Tensor, nn

from pipeline.networks.layers import BATCH_NORM, Layers, chain
from pipeline.networks.shift_norm import ShiftNorm

SHARES = (0.167, 0.333, 0.5)  # of the channels, for receptive fields of 3, 5 and 7 voxels


def multires_widths(width: int, alpha: float) -> tuple[int, int, int]:
    """Channels of the three convolutions of a block whose nominal width is `width`."""
    first, second, third = (int(share * (alpha * width)) for share in SHARES)
    return first, second, third


def conv_norm(
    layers: Layers, channels: int, width: int, kernel: int, *, activate: bool
) -> nn.Sequential:
    """Convolution without bias, shift-only batch norm, perhaps the activation."""
    conv = layers.conv(channels, width, kernel, bias=False)
    return chain(conv, ShiftNorm(layers.dims, width), layers.activate() if activate else None)


class MultiResBlock(nn.Module):
    """Three 3x3 convolutions in a row, all results kept, plus a 1x1 convolution of the input.

    Args:
        layers: Number of axes, activation and dropout.
        channels: Channels of the input.
        width: Nominal width; the result has the sum of `multires_widths`.
        alpha: Factor on the width.

    Source: Ibtehaz and Rahman, arXiv 1902.04049, and the authors' code.
    """

    def __init__(self, layers: Layers, channels: int, width: int, alpha: float) -> None:
        super().__init__()
        a, b, c = multires_widths(width, alpha)
        norm = BATCH_NORM[layers.dims]
        self.width = a + b + c
        self.first = conv_norm(layers, channels, a, 3, activate=True)
        self.second = conv_norm(layers, a, b, 3, activate=True)
        self.third = conv_norm(layers, b, c, 3, activate=True)
        self.joined = norm(self.width)
        self.shortcut = conv_norm(layers, channels, self.width, 1, activate=False)
        self.finish = chain(layers.activate(), norm(self.width), layers.drop())

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, channels, *S)` to `(B, a + b + c, *S)`."""
        first = self.first(x)
        second = self.second(first)
        joined = self.joined(torch.cat([first, second, self.third(second)], 1))
        result: Tensor = self.finish(joined + self.shortcut(x))
        return result


class ResPath(nn.Module):
    """Residual convolutions on a skip, so that it nears what the decoder has.

    Args:
        layers: Number of axes and activation.
        channels: Channels of the skip.
        width: Channels of the result.
        length: Number of residual steps.
    """

    def __init__(self, layers: Layers, channels: int, width: int, length: int) -> None:
        super().__init__()
        inputs = [channels] + [width] * (length - 1)
        self.convs = nn.ModuleList(conv_norm(layers, c, width, 3, activate=True) for c in inputs)
        self.shortcuts = nn.ModuleList(
            conv_norm(layers, c, width, 1, activate=False) for c in inputs
        )
        self.finishes = nn.ModuleList(
            chain(layers.activate(), BATCH_NORM[layers.dims](width)) for _ in inputs
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, channels, *S)` to `(B, width, *S)`."""
        steps = zip(self.convs, self.shortcuts, self.finishes, strict=True)
        for conv, shortcut, finish in steps:
            x = finish(conv(x) + shortcut(x))
        return x
