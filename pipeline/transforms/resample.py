"""Volumes on another grid, axis by axis and slice by slice, without a second volume in between."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Plane = NDArray[np.float32]

BLOCK: Final = 16
"""Slices turned at once: a cache line of float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Where the voxels along one axis of the new grid lie on an axis of the old one.

    Attributes:
        low: Index of the voxel before each new one.
        high: Index of the voxel after it, the same at the edge.
        share: Of the voxel after it, 0 to below 1; float32.
        nearest: The nearer one of both, the even one where none is.
    """

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: NDArray[np.float32]
    nearest: NDArray[np.intp]

    @classmethod
    def at(cls, positions: NDArray[np.float64], size: int) -> "Line":
        """Places along an axis of `size` voxels; beyond its ends the edge is repeated."""
        inside = np.clip(positions, 0, size - 1)
        low = np.floor(inside).astype(np.intp)
        share = (inside - low).astype(np.float32)
        return cls(low, np.minimum(low + 1, size - 1), share, np.rint(inside).astype(np.intp))

    def reversed(self, size: int) -> "Line":
        """The same places on an axis of `size` voxels that runs the other way."""
        last = size - 1
        return Line(last - self.low, last - self.high, self.share, last - self.nearest)

    @property
    def moves(self) -> bool:
        """Whether anything lies between two voxels."""
        return bool(self.share.any())

    def mix(self, plane: Array, axis: int) -> Array:
        """Interpolate a plane along one of its axes, in float32; gathers alone keep the type."""
        first = _take(plane, self.low, axis)
        if not self.moves:
            return first
        near = first.astype(np.float32)
        far = _take(plane, self.high, axis).astype(np.float32)
        far -= near
        far *= self.share[:, np.newaxis] if axis == 0 else self.share
        near += far
        return near


def linear(array: Array, lines: Sequence[Line], axes: Sequence[int]) -> NDArray[np.float32]:
    """Return `array` `(i, j, k)` interpolated linearly on the grid of `lines`, axes permuted.

    The order of the sums is that of the array's axes, j, i, k, whatever its memory layout: equal
    values give equal results. Fastest where the array lies in Fortran's order, as files do.

    Args:
        array: Any real type.
        lines: One for each axis of `array`.
        axes: For each axis of `array`, the axis of the result that it becomes.
    """
    along_i, along_j, along_k = lines
    kept: dict[int, Plane] = {}

    def plane(index: int) -> Plane:
        """The slice `(j, i)` of the source at `index`, in plane already on the new grid."""
        if index not in kept:
            mixed = along_i.mix(along_j.mix(array[:, :, index].T, 0), 1)
            kept[index] = mixed.astype(np.float32, copy=False)
        return kept[index]

    def fill(number: int, target: Plane) -> None:
        low, high = int(along_k.low[number]), int(along_k.high[number])
        for index in [index for index in kept if index not in (low, high)]:
            del kept[index]
        share = along_k.share[number]
        if share == 0:
            target[:] = plane(low)
            return
        np.subtract(plane(high), plane(low), out=target)
        target *= share
        target += plane(low)

    sizes = (len(along_i.low), len(along_j.low), len(along_k.low))
    return _stacked(sizes, axes, np.float32, fill)


def nearest(array: Array, maps: Sequence[NDArray[np.intp]], axes: Sequence[int]) -> Array:
    """Return the values of `array` `(i, j, k)` at the indices of `maps`, axes permuted.

    Args:
        array: Any type; the result has it too.
        maps: For each axis of `array`, the indices to take along it.
        axes: For each axis of `array`, the axis of the result that it becomes.
    """
    along_i, along_j, along_k = maps

    def fill(number: int, target: Array) -> None:
        plane = array[:, :, along_k[number]].T
        target[:] = _take(_take(plane, along_j, 0), along_i, 1)

    return _stacked((len(along_i), len(along_j), len(along_k)), axes, array.dtype, fill)


def _stacked(
    sizes: tuple[int, int, int],
    axes: Sequence[int],
    dtype: Any,
    fill: Callable[[int, Array], None],
) -> Array:
    """Fill slices `(j, i)` one by one; return a contiguous array with axis a at place `axes[a]`.

    Slices are turned in blocks: one at a time would touch every cache line of the result for
    each slice anew.
    """
    shape = [0, 0, 0]
    for size, axis in zip(sizes, axes, strict=True):
        shape[axis] = size
    result = np.empty(shape, dtype)
    turned = result.transpose(axes)
    block = np.empty((min(BLOCK, sizes[2]), sizes[1], sizes[0]), dtype)
    for start in range(0, sizes[2], BLOCK):
        stop = min(start + BLOCK, sizes[2])
        for number in range(start, stop):
            fill(number, block[number - start])
        turned[:, :, start:stop] = block[: stop - start].transpose(2, 1, 0)
    return result


def _take(plane: Array, index: NDArray[np.intp], axis: int) -> Array:
    """Gather along an axis; nothing is copied where the index is that of every voxel in turn."""
    if len(index) == plane.shape[axis] and bool((index == np.arange(len(index))).all()):
        return plane
    return plane.take(index, axis=axis)
