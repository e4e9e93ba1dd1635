"""The attention gate of Oktay et al., steered by a tensor of half the skip's resolution."""

from torch import Tensor, nn
from torch.nn import functional

from pipeline.networks.layers import Layers, chain
from pipeline.networks.resize import resize


class GridGate(nn.Module):
    """Scale a skip by weights found on a coarser grid, then mix its channels.

    Args:
        layers: Norm and activation of the mixing; the gate's non-linearities are fixed.
        skip: Channels of the skip `(B, skip, *S)`, which the result keeps.
        signal: Channels of the gating signal, of half the resolution.

    Source: Oktay et al., arXiv 1804.03999, and the authors' code.
    """

    def __init__(self, layers: Layers, skip: int, signal: int) -> None:
        super().__init__()
        self.theta = layers.conv(skip, skip, 2, stride=2, padding=0, bias=False)
        self.phi = layers.conv(signal, skip, 1)
        self.psi = layers.conv(skip, 1, 1)
        self.output = chain(layers.conv(skip, skip, 1), layers.normalise(skip))
        self.combine = layers.unit(skip, skip, 1)

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Return the gated skip."""
        theta = self.theta(skip)
        hidden = functional.relu(theta + resize(self.phi(signal), theta.shape[2:]), inplace=True)
        weight = resize(self.psi(hidden).sigmoid(), skip.shape[2:])
        gated: Tensor = self.combine(self.output(weight * skip))
        return gated
