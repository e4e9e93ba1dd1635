"""The blocks of nnU-Net: convolutions with instance norm, plain or with a residual."""

from typing import Final

from torch import Tensor, nn

from pipeline.networks.layers import Layers, Size, Table, chain

AVERAGE_POOL: Final[Table] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}


def plain_stage(
    layers: Layers, channels: int, width: int, *, kernel: Size, stride: Size, blocks: int
) -> nn.Sequential:
    """`blocks` units of convolution, dropout, norm, activation; the first one is strided."""
    inputs = [channels, *[width] * (blocks - 1)]
    strides: list[Size] = [stride, *[1] * (blocks - 1)]
    return nn.Sequential(
        *(
            chain(
                layers.conv(before, width, kernel, stride=step),
                layers.drop(),
                layers.normalise(width),
                layers.activate(),
            )
            for before, step in zip(inputs, strides, strict=True)
        )
    )


def residual_stage(
    layers: Layers, channels: int, width: int, *, kernel: Size, stride: Size, blocks: int
) -> nn.Sequential:
    """`blocks` residual blocks; the first one is strided."""
    first = BasicBlock(layers, channels, width, kernel=kernel, stride=stride)
    rest = (BasicBlock(layers, width, width, kernel=kernel) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


class BasicBlock(nn.Module):
    """Two normalised convolutions plus the input, averaged and projected where shapes differ.

    Args:
        layers: Norm, activation and dropout.
        channels: Channels of the input.
        width: Channels of the result.
        kernel: Kernel size, odd.
        stride: Of the first convolution.

    Source: Isensee et al., arXiv 2404.09556; He et al., arXiv 1812.01187, for the averaging.
    """

    def __init__(
        self, layers: Layers, channels: int, width: int, *, kernel: Size = 3, stride: Size = 1
    ) -> None:
        super().__init__()
        steps = stride if isinstance(stride, tuple) else (stride,) * layers.dims
        self.branch = chain(
            layers.conv(channels, width, kernel, stride=stride),
            layers.drop(),
            layers.normalise(width),
            layers.activate(),
            layers.conv(width, width, kernel),
            layers.normalise(width),
        )
        pool = AVERAGE_POOL[layers.dims](steps) if max(steps) > 1 else None
        project = (
            [layers.conv(channels, width, 1, bias=False), layers.normalise(width)]
            if channels != width
            else []
        )
        self.shortcut = chain(pool, *project)
        self.activate = layers.activate()

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, channels, *S)` to `(B, width, *S / stride)`."""
        result: Tensor = self.activate(self.branch(x) + self.shortcut(x))
        return result
