"""Polygons to pixels: a pixel is inside if its centre is, by the even-odd rule."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def even_odd(contours: Iterable[Points], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the mask `(columns, rows)` of closed contours, combined by exclusive or.

    Every edge that crosses the line of a row turns the pixels right of it over. An edge belongs
    to a row when exactly one of its ends has y <= row, so a corner on the row counts once, and
    the zero-width channel of a keyhole is passed twice at one place and leaves no trace.

    Args:
        contours: Corners `(n, 2)` as (column, row), pixel centres at whole numbers; contours of
            one or two points hold no pixel.
        shape: Columns and rows of the picture.
    """
    columns, rows = shape
    turns = np.zeros((columns + 1, rows), np.int32)
    for points in contours:
        if len(points) > 2:
            _turn(turns, points)
    odd: npt.NDArray[np.bool_] = np.cumsum(turns[:-1], axis=0) & 1 == 1
    return odd


def _turn(turns: npt.NDArray[np.int32], points: Points) -> None:
    """Count, for every row, the columns from which on one contour turns pixels over."""
    start, end = points, np.roll(points, -1, axis=0)
    upward = start[:, 1] <= end[:, 1]
    low = np.where(upward[:, None], start, end)
    high = np.where(upward[:, None], end, start)
    # rows r with low_y <= r < high_y
    first = np.maximum(np.ceil(low[:, 1]), 0).astype(int)
    last = np.minimum(np.ceil(high[:, 1]), turns.shape[1]).astype(int)
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    rise = high[edge, 1] - low[edge, 1]
    share = (row - low[edge, 1]) / rise
    crossing = low[edge, 0] + share * (high[edge, 0] - low[edge, 0])
    column = np.clip(np.ceil(crossing), 0, len(turns) - 1).astype(int)
    np.add.at(turns, (column, row), 1)
