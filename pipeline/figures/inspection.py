"""One page about one scan: its three planes above the histogram of its values."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.figures.layout import Page
from pipeline.figures.palette import BACKGROUND, TEXT, colour_of
from pipeline.figures.planes import Array, Cut, centre, cut, ras_spacing, to_ras
from pipeline.io import Affine, atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PERCENTILES = (1.0, 25.0, 50.0, 75.0, 99.0)
_BINS = 30
_TAILS = (0.1, 99.9)
"""Percentiles between which the bins lie; the ends count what is beyond."""
_LABELS_AT_MOST = 128
_LABEL_AT_MOST = 65535
_COUNTABLE = 1 << 17
"""Widest range of whole numbers that are counted one by one."""
_EXACT = 1 << 53
"""Up to here a float64 holds every whole number."""
_HISTOGRAM_HEIGHT = 0.5
"""Of the histogram's panel, as a share of the tallest plane."""
_TICKS_AT_MOST = 40
_INSET_IN = (0.75, 0.6)
"""Room for the numbers left of the histogram and below it."""


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How the values of an array are spread.

    Args:
        low: The smallest finite value; NaN where there is none, as for `high`.
        high: The largest finite value.
        percentiles: Value by percentile of `PERCENTILES`.
        edges: Limits of the bins, one more than `shares`; the outer bins also hold what is beyond.
        shares: Of all finite values, in each bin.
        odd: Number of values that are NaN or infinite.
        labels: Voxels by value where the array looks like a label map, else None.
    """

    low: float
    high: float
    percentiles: dict[float, float]
    edges: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]
    odd: int
    labels: dict[int, int] | None


def spread_of(array: Array, *, label: bool = True) -> Spread:
    """Return the spread of an array of any shape.

    Whole numbers from 0 on, at most 128 of them, look like a label map.

    Args:
        array: Integers, floats or bools; NaN and infinite values are only counted.
        label: Whether it may be a label map.
    """
    finite = array if array.dtype.kind in "iub" else array[np.isfinite(array)]
    odd = array.size - finite.size
    if not finite.size:
        nan = float("nan")
        none = dict.fromkeys(PERCENTILES, nan)
        return Spread(nan, nan, none, np.array([0.0, 1.0]), np.zeros(1), odd, None)
    values, counts = _counted(finite)
    cumulated = np.cumsum(counts)
    found = {share: _quantile(values, cumulated, share) for share in (*PERCENTILES, *_TAILS)}
    whole = bool(np.all(np.mod(values, 1) == 0))
    few = len(values) <= _LABELS_AT_MOST and values[0] >= 0 and values[-1] <= _LABEL_AT_MOST
    is_label = label and whole and few and not odd
    edges = _edges(found[_TAILS[0]], found[_TAILS[1]], whole=whole)
    # the outer bins take in what is beyond them, so that the shares add up to 1
    places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    shares = np.bincount(places, weights=counts, minlength=len(edges) - 1) / cumulated[-1]
    return Spread(
        float(values[0]),
        float(values[-1]),
        {share: found[share] for share in PERCENTILES},
        edges,
        shares,
        odd,
        dict(zip(values.astype(int).tolist(), counts.tolist(), strict=True)) if is_label else None,
    )


def _counted(finite: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the distinct values, ascending, and how often each occurs."""
    low, high = finite.min().item(), finite.max().item()
    narrow = high - low < _COUNTABLE and abs(low) < _EXACT
    if narrow and finite.dtype.kind in "f" and np.array_equal(np.rint(finite), finite):
        finite = finite.astype(np.int64)
    if narrow and finite.dtype.kind in "iub":
        counts = np.zeros(int(high) - int(low) + 1, np.int64)
        # plane by plane: the 64-bit integers of a whole volume would be four times its size
        outer = int(np.argmax(np.abs(finite.strides)))
        for plane in np.moveaxis(finite, outer, 0):
            shifted = plane.astype(np.int64).ravel() - int(low)
            counts += np.bincount(shifted, minlength=len(counts))
        present = np.flatnonzero(counts)
        return (present + int(low)).astype(np.float64), counts[present]
    values, many = np.unique(finite.astype(np.float64), return_counts=True)
    return values, many.astype(np.int64)


def _quantile(
    values: npt.NDArray[np.float64], cumulated: npt.NDArray[np.int64], percent: float
) -> float:
    """Return the smallest value that at least `percent` of all do not exceed."""
    at = np.searchsorted(cumulated, percent / 100 * cumulated[-1])
    return float(values[min(int(at), len(values) - 1)])


def _edges(low: float, high: float, *, whole: bool) -> npt.NDArray[np.float64]:
    """Return limits of bins whose width is 1, 2 or 5 times a power of ten, around low to high."""
    # neither narrower than what floats tell apart at this size, nor infinite
    span = min(max(high - low, max(abs(low), abs(high)) * 1e-9), 1e307)
    span = span or 1.0
    power = 10.0 ** np.floor(np.log10(span / _BINS))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * _BINS >= span)
    step = max(step, 1.0) if whole else step
    first, last = np.floor(low / step), np.floor(high / step) + 1
    edges: npt.NDArray[np.float64] = np.arange(first, last + 0.5) * step
    return edges


def inspection(
    array: Array,
    spread: Spread,
    path: str | Path,
    *,
    affine: Affine | None,
    unit: str = "value",
    title: str | None = None,
) -> Path:
    """Write a PNG of a scan or a label map, about 1400 pixels wide, and return its path.

    Args:
        array: A volume `(i, j, k[, C])`, of which the first channel is drawn, or a picture
            `(rows, columns[, 3])`.
        spread: Of the same array.
        path: Where to write; the file appears whole or not at all.
        affine: Index to RAS mm; None for a picture.
        unit: Below the histogram, such as HU.
        title: One line above; keep patients' names out of it.
    """
    volume = affine is not None
    if array.ndim == 4 or (not volume and array.ndim == 3 and array.shape[-1] not in (3, 4)):
        array = array[..., 0]
    cuts = _cuts(array, spread, affine)
    tallest = max(one.size_mm[0] for one in cuts)
    across = max(sum(one.size_mm[1] for one in cuts), 2 * tallest)
    sizes = [[one.size_mm for one in cuts], [(tallest * _HISTOGRAM_HEIGHT, across)]]
    page = Page(sizes, legend=0, title=bool(title), captions=volume)
    for column, one in enumerate(cuts):
        _paint(page.panel(0, column), one, spread)
    if volume:
        page.scale_bar()
    _chart(page, spread, unit)
    if title:
        page.title(title)
    with atomic_path(path) as draft:
        page.save(draft)
    return Path(path)


def _cuts(array: Array, spread: Spread, affine: Affine | None) -> list[Cut]:
    """Return the picture, or three planes: through the middle, or a label map's rarest value."""
    if affine is None:
        return [Cut(array, (), (float(array.shape[0]), float(array.shape[1])), None)]
    turned = to_ras(array, affine)
    point = tuple(size // 2 for size in turned.shape)
    if spread.labels is not None:
        point = centre(turned.astype(np.int32), [value for value in spread.labels if value])
    return cut(turned, [], point, ras_spacing(affine), letters=True)


def _paint(axes: "Axes", one: Cut, spread: Spread) -> None:
    height, width = one.size_mm
    colour = one.image.ndim == 3
    image = one.image if colour else one.image.astype(np.float32)
    low, high = spread.percentiles[1.0], spread.percentiles[99.0]
    if spread.labels is not None:
        image, colour = _coloured(one.image, spread.labels), True
    axes.imshow(
        image,
        cmap="gray",
        vmin=None if colour else low,
        vmax=None if colour else max(high, low + 1e-6),
        extent=(0, width, height, 0),
        interpolation="nearest" if spread.labels is not None else "bilinear",
    )
    edges = ((0.0, 0.5), (1.0, 0.5), (0.5, 1.0), (0.5, 0.0))
    for letter, (x, y) in zip(one.letters or (), edges, strict=False):
        Page.write(axes, letter, x, y)


def _coloured(plane: Array, labels: dict[int, int]) -> npt.NDArray[np.uint8]:
    """Return `(up, across, 3)`: the classes in their colours, 0 black."""
    out = np.zeros((*plane.shape, 3), np.uint8)
    for index, value in enumerate(value for value in labels if value):
        out[plane == value] = list(bytes.fromhex(colour_of(index)[1:]))
    return out


def _chart(page: Page, spread: Spread, unit: str) -> None:
    """Draw the bars: shares of the values, or voxels of each label."""
    axes = page.panel(1, 0)
    box, (wide, tall) = axes.get_position(), page.figure.get_size_inches()
    left, below = _INSET_IN[0] / wide, _INSET_IN[1] / tall
    axes.set_position(
        (box.x0 + left, box.y0 + below, max(box.width - left, 0.1), max(box.height - below, 0.05))
    )
    axes.set_axis_on()
    axes.set_facecolor(BACKGROUND)
    axes.set_yscale("log")
    if spread.labels is None:
        heights = np.maximum(spread.shares * 100, 1e-9)
        axes.bar(spread.edges[:-1], heights, np.diff(spread.edges), align="edge", color=TEXT)
        axes.set_ylim(1e-3, 100)
        axes.set_ylabel("% (log)", color=TEXT)
    else:
        drawn = {value: count for value, count in spread.labels.items() if value}
        places = range(len(drawn))
        axes.bar(places, list(drawn.values()), color=[colour_of(at) for at in places])
        values = list(drawn)
        every = -(-len(values) // _TICKS_AT_MOST) or 1
        axes.set_xticks(list(places)[::every], [str(value) for value in values[::every]])
        axes.set_ylim(0.5, 2 * max(drawn.values(), default=1))  # one voxel has a bar
        axes.set_ylabel("voxels (log)", color=TEXT)
    axes.set_xlabel(unit, color=TEXT)
    axes.tick_params(colors=TEXT)
    for spine in axes.spines.values():
        spine.set_visible(False)
