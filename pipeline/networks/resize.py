"""Linear resizing to a given size, corners not aligned."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from pipeline.networks.layers import LINEAR


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolate `(B, C, *S)` to `(B, C, *size)`; nothing is done where the sizes are equal."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return functional.interpolate(x, size=list(size), mode=LINEAR[x.ndim - 2], align_corners=False)
