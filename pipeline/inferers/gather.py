"""Windows cut out of an image, which goes on beyond its edges."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.inferers.layout import Layout


class Gather:
    """Copies windows `(C, *seen)` of an image `(C, *S)`.

    Adjacent slices become channels, each channel's slices together; the first and the last slice
    are repeated beyond the ends.

    Args:
        image: The network's input.
        layout: Where its windows lie.
    """

    def __init__(self, image: Tensor, layout: Layout) -> None:
        self._image, self._layout = image, layout
        borders = [
            "replicate" if axis == layout.flat else layout.border
            for axis in range(len(layout.shape))
        ]
        self._axes = [
            [_indices(s - m, p + 2 * m, n, border, image.device) for s in starts]
            for starts, p, m, n, border in zip(
                layout.starts, layout.patch, layout.margin, layout.shape, borders, strict=True
            )
        ]

    def into(self, window: Tensor, place: Sequence[int]) -> None:
        """Fill `window` with the one at `place`, an index into the starts of each axis."""
        part = self._image
        for axis, index in enumerate(place):
            found = self._axes[axis][index]
            if isinstance(found, slice):
                part = part[(slice(None),) * (axis + 1) + (found,)]
        for axis, index in enumerate(place):
            found = self._axes[axis][index]
            if isinstance(found, Tensor):
                part = part.index_select(axis + 1, found)
        if self._layout.flat is not None:
            part = part.movedim(self._layout.flat + 1, 1).flatten(0, 1)
        window.copy_(part)


def _indices(
    start: int, size: int, length: int, border: str, device: torch.device
) -> slice | Tensor:
    """The voxels of one window along an axis of `length` voxels."""
    if start >= 0 and start + size <= length:
        return slice(start, start + size)
    index = torch.arange(start, start + size, device=device)
    if border == "replicate" or length == 1:
        return index.clamp(0, length - 1)
    period = 2 * (length - 1)
    index = index.remainder(period)
    return torch.minimum(index, period - index)
