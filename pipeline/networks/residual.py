"""The pre-activated residual block of ResUNet and ResUNet++."""

from torch import Tensor, nn

from pipeline.networks.layers import Layers, Size, chain
from pipeline.networks.squeeze_excite import SqueezeExcite


def pre_activated(
    layers: Layers, channels: int, width: int, *, stride: Size = 1
) -> list[nn.Module | None]:
    """Norm, activation, 3x3 convolution."""
    norm = layers.normalise(channels)
    activation = layers.activate(in_place=norm is not None)  # the input is needed again
    return [norm, activation, layers.conv(channels, width, stride=stride)]


class ResidualBlock(nn.Module):
    """Two pre-activated convolutions plus a 1x1 convolution of the input.

    Args:
        layers: Norm, activation and dropout.
        channels: Channels of the input.
        width: Channels of the result.
        stride: Of the first convolution and of the shortcut.
        stem: Whether this is the network's first block, which begins with a bare convolution.
        squeeze: Whether the shortcut is normalised and the sum goes through squeeze-excite.
        squeeze_ratio: Channels per hidden unit of squeeze-excite.

    Source: Zhang et al., arXiv 1711.10684; with `squeeze` Jha et al., arXiv 1911.07067.
    """

    def __init__(
        self,
        layers: Layers,
        channels: int,
        width: int,
        *,
        stride: Size = 1,
        stem: bool = False,
        squeeze: bool = False,
        squeeze_ratio: int = 8,
    ) -> None:
        super().__init__()
        first = pre_activated(layers, channels, width, stride=stride)
        self.branch = chain(
            *(first[-1:] if stem else first), *pre_activated(layers, width, width), layers.drop()
        )
        self.shortcut = chain(
            layers.conv(channels, width, 1, stride=stride, padding=0),
            layers.normalise(width) if squeeze else None,
        )
        self.squeeze = SqueezeExcite(width, squeeze_ratio) if squeeze else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, channels, *S)` to `(B, width, *S / stride)`."""
        result: Tensor = self.squeeze(self.branch(x) + self.shortcut(x))
        return result
