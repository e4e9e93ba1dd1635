"""Contrast from an image's own histogram: equalised as a whole, or by tiles with a limit."""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import HistogramNormalize, MapTransform
from numpy.typing import NDArray

from pipeline.errors import UnknownNameError
from pipeline.planning.intensities import CONTRASTS

BINS = 256
TILES = 8  # along each axis
SMALLEST_TILE = 8  # voxels; fewer give no histogram
CLIP = 2.0  # how many times the mean count a bin may hold


class Contrastd(MapTransform):
    """Spread the values of images `(C, *S)` over -1..1, each channel by its own histogram.

    Meant to stand after a window: what the window cut off would fill the histogram. Affine and
    grid stay; there is no way back to the values before. A channel of one value becomes 0.

    Args:
        keys: Keys of tensors `(C, *S)`.
        contrast: `equalise` or `clahe`; None leaves the image as it is.
        allow_missing_keys: Skip keys that a case does not have.

    Raises:
        UnknownNameError: Another word.
    """

    def __init__(
        self, keys: KeysCollection, contrast: str | None = None, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if contrast is not None and contrast not in CONTRASTS:
            raise UnknownNameError(
                f"contrast is {contrast!r}", hint=f"use {' or '.join(CONTRASTS)}, or null"
            )
        self.contrast = contrast

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with the images spread."""
        case = dict(data)
        for key in self.key_iterator(case) if self.contrast else ():
            image = case[key].to(torch.float32)
            spread = equalise if self.contrast == "equalise" else clahe
            channels = [spread(np.asarray(torch.as_tensor(channel).cpu())) for channel in image]
            case[key] = image.clone()  # keeps the meta data
            case[key][...] = torch.from_numpy(np.stack(channels))
        return case


def equalise(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `(*S)` in -1..1 whose values are spread evenly: MONAI's equalisation, 256 bins."""
    if channel.min() == channel.max():
        return np.zeros_like(channel)
    spread = HistogramNormalize(num_bins=BINS, min=-1, max=1)(channel)
    return np.asarray(torch.as_tensor(spread), np.float32)


def clahe(
    channel: NDArray[np.float32],
    clip: float = CLIP,
    tiles: int = TILES,
    bins: int = BINS,
) -> NDArray[np.float32]:
    """Return `(*S)` in -1..1, equalised tile by tile with bounded contrast, in any dimension.

    Each tile has a histogram of its own; what stands above `clip` times the mean count is dealt
    to all bins alike; a voxel takes the mean of the surrounding tiles' curves, weighted linearly
    by the distance to their centres.

    Args:
        channel: Any values.
        clip: Steepest contrast as a multiple of none; infinite: not bounded.
        tiles: Along each axis, fewer where a tile would have less than 8 voxels.
        bins: Of the histograms, over the channel's own range.

    Source: Zuiderveld 1994, Contrast limited adaptive histogram equalization, Graphics Gems IV.
    Deviations: n dimensions; the excess is dealt once, not until no bin is above the limit; a
        bin's own count enters its curve by half, so that the curve is the same upside down.
    """
    low, high = float(channel.min()), float(channel.max())
    if low == high:
        return np.zeros_like(channel)
    axes = [_Axis(n, tiles) for n in channel.shape]
    curves = np.zeros((int(np.prod([axis.count for axis in axes])), bins))
    slabs = list(itertools.pairwise(axes[0].edges.tolist()))
    levels = np.empty(channel.shape, np.int32)
    for start, stop in slabs:  # a row of tiles at once, so that index arrays stay small
        part = (channel[start:stop] - low) * ((bins - 1) / (high - low))
        levels[start:stop] = np.rint(part)
        tile = _combined(axes, [axis.tile for axis in axes], start, stop)
        curves += np.bincount(
            (tile * bins + levels[start:stop]).ravel(), minlength=curves.size
        ).reshape(curves.shape)
    curves = _curves(curves, clip).astype(np.float32)
    result = np.zeros(channel.shape, np.float32)
    for start, stop in slabs:
        for corner in itertools.product((0, 1), repeat=channel.ndim):
            sides = [axis.side(c) for axis, c in zip(axes, corner, strict=True)]
            tile = _combined(axes, [index for index, _ in sides], start, stop)
            weight = _product([w for _, w in sides], start, stop)
            result[start:stop] += weight * curves.ravel()[tile * bins + levels[start:stop]]
    return result


class _Axis:
    """The tiles along one axis of `n` voxels."""

    def __init__(self, n: int, tiles: int) -> None:
        self.count = max(1, min(tiles, n // SMALLEST_TILE))
        self.edges = np.rint(np.linspace(0, n, self.count + 1)).astype(np.intp)
        self.tile = np.repeat(np.arange(self.count), np.diff(self.edges))
        centres = (self.edges[:-1] + self.edges[1:] - 1) / 2
        self.position = np.interp(np.arange(n), centres, np.arange(self.count))

    def side(self, upper: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """For each voxel the tile whose centre lies below it (0) or above (1), and its weight."""
        below = np.floor(self.position).astype(np.intp)
        part = (self.position - below).astype(np.float32)
        if upper:
            return np.minimum(below + 1, self.count - 1), part
        return below, 1 - part


def _along(values: NDArray[Any], axis: int, dims: int) -> NDArray[Any]:
    """A vector shaped to run along one axis."""
    return values.reshape([-1 if other == axis else 1 for other in range(dims)])


def _combined(
    axes: Sequence[_Axis], tiles: Sequence[NDArray[np.intp]], start: int, stop: int
) -> NDArray[np.intp]:
    """The number of the tile that each voxel of a slab takes, from those along the axes."""
    number: NDArray[np.intp] = np.zeros((1,) * len(axes), np.intp)
    for k, (axis, tile) in enumerate(zip(axes, tiles, strict=True)):
        own = tile[start:stop] if k == 0 else tile
        number = number * axis.count + _along(own, k, len(axes))
    return number


def _product(weights: Sequence[NDArray[np.float32]], start: int, stop: int) -> NDArray[Any]:
    """The product of the axes' weights for each voxel of a slab."""
    product: NDArray[Any] = np.ones((1,) * len(weights), np.float32)
    for k, weight in enumerate(weights):
        product = product * _along(weight[start:stop] if k == 0 else weight, k, len(weights))
    return product


def _curves(counts: NDArray[np.float64], clip: float) -> NDArray[np.float64]:
    """From histograms `(tiles, bins)` to curves from level to -1..1."""
    total = counts.sum(axis=1, keepdims=True)
    bins = counts.shape[1]
    limit = clip * total / bins
    excess = np.maximum(counts - limit, 0).sum(axis=1, keepdims=True)
    clipped = np.minimum(counts, limit) + excess / bins
    middle = clipped.cumsum(axis=1) - clipped / 2
    return np.asarray(2 * middle / total - 1)
