"""Tiles for a network that loses its border: each sees more than it gives."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor

from pipeline.inferers.gather import Gather
from pipeline.inferers.layout import lay_tiles, places


class OverlapTileInferer(Inferer):
    """Images `(B, C, *S)` to logits `(B, K, *S)` by a network that takes tiles and trims them.

    Each voxel is computed with its whole context; beyond the image it is mirrored, as often as
    it takes. The last tiles end with the image and so reach back into others; there the mean is
    taken, for pooling sees the voxels at another offset.

    Where a GPU's memory does not hold the logits, they are put together on the CPU and stay there.

    Args:
        patch: The network's input in voxels; two numbers for pictures and for slices.
        border: Voxels per axis that the logits lack, half on each side.
        slice_axis: For a 2D network on volumes, the axis that it walks along; None otherwise.
        batch: Tiles per forward.
        slices: Adjacent slices that it sees as channels, its own in their middle.

    Source: Ronneberger et al., arXiv 1505.04597, figure 2.
    """

    def __init__(
        self,
        patch: Sequence[int],
        border: int,
        slice_axis: int | None = None,
        batch: int = 1,
        slices: int = 1,
    ) -> None:
        super().__init__()
        self.seen = tuple(int(n) for n in patch)
        self.given = tuple(n - border for n in self.seen)
        self.slice_axis, self.batch, self.slices = slice_axis, batch, slices

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Return the logits of `inputs`, on its grid.

        Raises:
            InvalidValueError: The network's axes are not those of the images.
        """
        images = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        logits: Tensor | None = None
        try:
            logits = self._stacked(images, images.device, network, *args, **kwargs)
        except torch.OutOfMemoryError:
            if not images.is_cuda:
                raise
        if logits is None:  # not in the handler: its error holds what was computed
            torch.cuda.empty_cache()
            logits = self._stacked(images, torch.device("cpu"), network, *args, **kwargs)
        if isinstance(inputs, MetaTensor):
            return MetaTensor(logits, meta=inputs.meta)
        return logits

    def _stacked(
        self,
        images: Tensor,
        where: torch.device,
        network: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """Logits `(B, K, *S)` of all images, put together in the memory of `where`."""
        return torch.stack(
            [self._tiled(image, where, network, *args, **kwargs) for image in images]
        )

    def _tiled(
        self,
        image: Tensor,
        where: torch.device,
        network: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Logits `(K, *S)` of one image."""
        layout = lay_tiles(
            image.shape[1:], self.seen, self.given, flat=self.slice_axis, slices=self.slices
        )
        gather = Gather(image, layout)
        tiles = places(layout, range(len(layout.shape)))
        result: Tensor | None = None
        times = image.new_zeros(image.shape[1:], device=where)
        for first in range(0, len(tiles), self.batch):
            group = tiles[first : first + self.batch]
            seen = image.new_empty((len(group), layout.channels(len(image)), *layout.seen))
            for tile, place in zip(seen, group, strict=True):
                gather.into(tile, place)
            computed = network(seen, *args, **kwargs)
            if result is None:
                # under autocast logits are of half precision, and so would their sum be
                kind = torch.promote_types(computed.dtype, torch.float32)
                size = (computed.shape[1], *image.shape[1:])
                result = computed.new_zeros(size, dtype=kind, device=where)
            for part, place in zip(computed.to(where), group, strict=True):
                starts = [along[i] for along, i in zip(layout.starts, place, strict=True)]
                _add(result, times, part, starts, self.slice_axis)
        return None if result is None else result.div_(times)


def _add(
    result: Tensor, times: Tensor, part: Tensor, starts: Sequence[int], slice_axis: int | None
) -> None:
    """Add a tile's logits at their place, and count them; what lies outside is left out."""
    if slice_axis is not None:
        part = part.unsqueeze(slice_axis + 1)
    where, inner = [], []
    for start, size, whole in zip(starts, part.shape[1:], times.shape, strict=True):
        low, high = max(0, start), min(whole, start + size)
        where.append(slice(low, high))
        inner.append(slice(low - start, high - start))
    result[(slice(None), *where)] += part[(slice(None), *inner)]
    times[tuple(where)] += 1
