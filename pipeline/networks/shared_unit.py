"""A convolution that iterations share, with a norm for each of them."""

from collections.abc import Iterable

from torch import Tensor, nn

from pipeline.networks.layers import Layers


class SharedUnit(nn.Module):
    """Convolution, activation, then the norm of the iteration.

    Args:
        layers: Norm and activation.
        conv: The convolution.
        width: Its channels.
        sets: Number of iterations that have a norm of their own.
    """

    def __init__(self, layers: Layers, conv: nn.Module, width: int, sets: int) -> None:
        super().__init__()
        self.conv = conv
        self.activation = layers.activate()
        self.norms = nn.ModuleList(layers.normalise(width) or nn.Identity() for _ in range(sets))

    def forward(self, x: Tensor, iteration: int) -> Tensor:
        """Apply the unit as the given iteration does."""
        result: Tensor = self.norms[iteration](self.activation(self.conv(x)))
        return result

    def freeze(self, iterations: Iterable[int]) -> None:
        """Train nothing of these iterations' norms."""
        for iteration in iterations:
            self.norms[iteration].requires_grad_(False)
