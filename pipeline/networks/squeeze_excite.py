"""Squeeze-and-excitation: each channel is scaled by what the whole image says about it."""

from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Scale the channels of `(B, width, *S)` by weights from their global means.

    Args:
        width: Channels.
        ratio: Channels per hidden unit.

    Source: Hu et al., arXiv 1709.01507; without biases as in ResUNet++.
    """

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        hidden = max(1, width // ratio)
        self.weigh = nn.Sequential(
            nn.Linear(width, hidden, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, width, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with scaled channels."""
        weights = self.weigh(x.flatten(2).mean(2))
        scaled: Tensor = x * weights.reshape(*weights.shape, *[1] * (x.ndim - 2))
        return scaled
