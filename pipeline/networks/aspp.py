"""Atrous spatial pyramid pooling: one tensor seen through several dilations."""

from typing import Final

from torch import Tensor, nn

from pipeline.networks.layers import Layers, chain

DILATIONS: Final = (6, 12, 18, 1)


class ASPP(nn.Module):
    """Sum dilated convolutions of `(B, channels, *S)` and mix them to `(B, width, *S)`.

    Args:
        layers: Number of axes and norm.
        channels: Channels of the input.
        width: Channels of the result.

    Source: Jha et al., arXiv 1911.07067, and the authors' code: no activation, branches summed.
    """

    def __init__(self, layers: Layers, channels: int, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            chain(layers.conv(channels, width, dilation=rate), layers.normalise(width))
            for rate in DILATIONS
        )
        self.mix = layers.conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed sum."""
        total = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        mixed: Tensor = self.mix(total)
        return mixed
