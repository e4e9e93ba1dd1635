"""The additive attention gate between tensors of one resolution."""

from torch import Tensor, nn
from torch.nn import functional

from pipeline.networks.layers import Layers, chain


class AttentionGate(nn.Module):
    """Scale a skip `(B, skip, *S)` by what the gating signal `(B, signal, *S)` finds relevant.

    Args:
        layers: The norm; the gate's own non-linearities are fixed.
        signal: Channels of the gating signal.
        skip: Channels of the skip.
        hidden: Channels in which the two are added.

    Source: article 004; Oktay et al., arXiv 1804.03999, whose gate comes from a coarser level.
    """

    def __init__(self, layers: Layers, signal: int, skip: int, hidden: int) -> None:
        super().__init__()
        self.signal = chain(layers.conv(signal, hidden, 1), layers.normalise(hidden))
        self.skip = chain(layers.conv(skip, hidden, 1), layers.normalise(hidden))
        self.weight = chain(layers.conv(hidden, 1, 1), layers.normalise(1))

    def forward(self, signal: Tensor, skip: Tensor) -> Tensor:
        """Return the skip times one weight in (0, 1) per voxel."""
        hidden = functional.relu(self.signal(signal) + self.skip(skip), inplace=True)
        gated: Tensor = skip * self.weight(hidden).sigmoid()
        return gated


def gates(layers: Layers, widths: tuple[int, ...]) -> nn.ModuleList:
    """One gate per skip; signal and skip have the level's width, added in half of it."""
    return nn.ModuleList(AttentionGate(layers, w, w, max(1, w // 2)) for w in widths)
