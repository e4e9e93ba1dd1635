"""The block that most U-Nets repeat: two convolutions."""

from collections.abc import Callable

from torch import nn

from pipeline.networks.layers import Layers, Size


class DoubleConv(nn.Sequential):
    """`(B, channels, *S)` to `(B, width, *S)`: twice convolution, norm, activation; then dropout.

    Args:
        layers: Norm, activation and dropout; a norm of None is left out.
        channels: Channels of the input.
        width: Channels of the result.
        kernel: Size of both kernels, odd.
        bias: Whether the convolutions have one.
        hidden: Channels between the convolutions; None for `width`.
        padding: Of both convolutions; None keeps the size.
    """

    def __init__(
        self,
        layers: Layers,
        channels: int,
        width: int,
        *,
        kernel: Size = 3,
        bias: bool = True,
        hidden: int | None = None,
        padding: int | None = None,
    ) -> None:
        hidden = width if hidden is None else hidden
        parts = (
            layers.conv(channels, hidden, kernel, padding=padding, bias=bias),
            layers.normalise(hidden),
            layers.activate(),
            layers.conv(hidden, width, kernel, padding=padding, bias=bias),
            layers.normalise(width),
            layers.activate(),
            layers.drop(),
        )
        super().__init__(*(part for part in parts if part is not None))


def double_conv(
    layers: Layers, *, bias: bool = True, padding: int | None = None
) -> Callable[[int, int, Size], DoubleConv]:
    """Return what makes a level's block from its channels, width and kernel."""

    def block(channels: int, width: int, kernel: Size) -> DoubleConv:
        return DoubleConv(layers, channels, width, kernel=kernel, bias=bias, padding=padding)

    return block
