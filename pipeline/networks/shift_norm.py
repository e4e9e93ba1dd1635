"""Batch norm that shifts and does not scale, as Keras has it with `scale=False`."""

import torch
from torch import Tensor, nn

from pipeline.networks.layers import BATCH_NORM


class ShiftNorm(nn.Module):
    """Normalise `(B, width, *S)` over batch and space, then add a bias per channel.

    Args:
        spatial_dims: Number of spatial axes.
        width: Channels.
    """

    def __init__(self, spatial_dims: int, width: int) -> None:
        super().__init__()
        self.norm = BATCH_NORM[spatial_dims](width, affine=False)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised tensor plus the bias."""
        shifted: Tensor = self.norm(x) + self.bias.reshape(1, -1, *[1] * (x.ndim - 2))
        return shifted
