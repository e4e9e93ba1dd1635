"""The cells that the windows' edges cut a grid into: all voxels of one lie in the same windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

import numpy as np
from numpy.typing import NDArray

from pipeline.inferers.layout import Box, Layout, Span


@dataclass(frozen=True, slots=True)
class Part:
    """What one window and one cell share along an axis: the whole of the cell.

    Attributes:
        cell: Index of the cell.
        inner: The cell's place in the window.
        first: Whether no window before this one touches the cell.
        last: Whether none after it does.
    """

    cell: int
    inner: slice
    first: bool
    last: bool


@dataclass(frozen=True, slots=True)
class AxisCells:
    """The cells along one axis.

    Attributes:
        spans: Of the cells, in voxels of the grid.
        parts: For each window its cells, in order; none for a window outside of the region.
        first: For each cell the first window that touches it.
        last: For each cell the last one.
    """

    spans: tuple[Span, ...]
    parts: tuple[tuple[Part, ...], ...]
    first: tuple[int, ...]
    last: tuple[int, ...]

    def offsets(self, cell: int, starts: Sequence[int]) -> tuple[int, ...]:
        """Where in each of the windows that touch a cell the cell begins, by window."""
        low = self.spans[cell][0]
        return tuple(low - starts[i] for i in range(self.first[cell], self.last[cell] + 1))


def cut(starts: Sequence[int], patch: int, region: Span) -> AxisCells:
    """Cut the span `region` of an axis at all starts and ends of windows; they must cover it."""
    low, high = region
    edges = {e for s in starts for e in (s, s + patch) if low < e < high}
    spans = tuple(pairwise(sorted(edges | {low, high})))
    touching = [
        [i for i, s in enumerate(starts) if s <= begin and end <= s + patch] for begin, end in spans
    ]
    first, last = [t[0] for t in touching], [t[-1] for t in touching]
    parts = [
        tuple(
            Part(c, slice(begin - s, end - s), i == first[c], i == last[c])
            for c, (begin, end) in enumerate(spans)
            if first[c] <= i <= last[c]
        )
        for i, s in enumerate(starts)
    ]
    return AxisCells(spans, tuple(parts), tuple(first), tuple(last))


def cut_layout(layout: Layout, region: Box) -> tuple[AxisCells, ...]:
    """Cut a region of a layout's grid, axis by axis."""
    return tuple(
        cut(starts, patch, span)
        for starts, patch, span in zip(layout.starts, layout.patch, region, strict=True)
    )


def peak_voxels(layout: Layout, region: Box, axes: Sequence[int]) -> int:
    """The most voxels of unfinished cells at once, when the first of `axes` changes slowest.

    A cell counts from the first window that touches it to the last, both included.
    """
    cells = cut_layout(layout, region)
    used = [[i for i, parts in enumerate(axis.parts) if parts] for axis in cells]
    stride = 1
    begin: NDArray[np.int64] = np.zeros((1,) * len(cells), np.int64)
    end, volume = begin, begin + 1
    for axis in reversed(axes):
        shape = tuple(-1 if a == axis else 1 for a in range(len(cells)))
        rank = np.cumsum([bool(parts) for parts in cells[axis].parts]) - 1
        spans = np.array(cells[axis].spans)
        begin = begin + stride * rank[list(cells[axis].first)].reshape(shape)
        end = end + stride * rank[list(cells[axis].last)].reshape(shape)
        volume = volume * (spans[:, 1] - spans[:, 0]).reshape(shape)
        stride *= len(used[axis])
    change = np.bincount(begin.ravel(), volume.ravel(), stride + 1)
    change -= np.bincount(end.ravel() + 1, volume.ravel(), stride + 1)
    return int(np.cumsum(change).max())


def windows_in(layout: Layout, region: Box) -> int:
    """Number of windows that a region needs."""
    return prod(sum(bool(parts) for parts in axis.parts) for axis in cut_layout(layout, region))


def overlapping(parts: Sequence[tuple[Part, ...]]) -> list[tuple[Part, ...]]:
    """The cells of a window, from its parts along each axis."""
    return list(product(*parts))
