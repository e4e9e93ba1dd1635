"""A picture of one case: the scan in grey, the reference and the prediction in colour."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.errors import GeometryError
from pipeline.figures.layout import Page
from pipeline.figures.palette import TEXT, colour_of
from pipeline.figures.planes import Array, Cut, Labels, centre, cut, ras_spacing, to_ras
from pipeline.io import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PERCENTILES = (1.0, 99.5)
_FILL = 0.42
_REFERENCE, _PREDICTION = "reference", "prediction"


def overlay(
    image: npt.ArrayLike,
    label: npt.ArrayLike | None,
    prediction: npt.ArrayLike | None,
    names: Sequence[str] | Mapping[str, int],
    path: str | Path,
    *,
    affine: npt.NDArray[np.float64] | None = None,
    spacing: Sequence[float] | None = None,
    window: tuple[float, float] | None = None,
    title: str | None = None,
) -> Path:
    """Write a PNG of a case, about 1400 pixels wide, and return its path.

    A volume `(i, j, k)` is cut in three planes through its rarest structure, the reference above
    the prediction; a picture `(rows, columns[, 3])` is shown beside both. The prediction carries
    the outline of the reference in white.

    Args:
        image: The scan; of several channels (last axis) the first, of a picture three as colour.
        label: Integers on the image's grid, or regions as channels (last axis); None: unknown.
        prediction: As `label`.
        names: Foreground classes in the declared order, with their integers; without, 1, 2, ...
        path: Where to write; the file appears whole or not at all.
        affine: Index to RAS mm; the planes are turned by it and their edges lettered.
        spacing: Mm per voxel where there is no affine; None: 1.
        window: Intensities drawn black and white; None: percentiles 1 and 99.5.
        title: One line above; keep patients' names out of it.

    Raises:
        GeometryError: Label or prediction are on another grid than the image.
    """
    values = _values(names)
    scan = np.asarray(image)
    placed = affine is not None or (spacing is not None and len(spacing) == 3)
    volume = placed or (scan.ndim >= 3 and scan.shape[-1] not in (1, 3, 4))
    if (volume and scan.ndim == 4) or (not volume and scan.ndim == 3 and scan.shape[-1] != 3):
        scan = scan[..., 0]
    dims = 3 if volume else 2
    maps = [
        None if one is None else _flat(np.asarray(one), values, scan.shape[:dims])
        for one in (label, prediction)
    ]
    limits = window or _percentiles(scan)
    captions = [
        text for text, one in zip((_REFERENCE, _PREDICTION), maps, strict=True) if one is not None
    ]
    if volume:
        cuts = _volume_cuts(scan, maps, list(values.values()), affine, spacing)
        rows = [[(one, text) for one in cuts] for text in captions or [""]]
    else:
        size = (float(scan.shape[0]), float(scan.shape[1]))
        flat = Cut(scan, tuple(maps), size, None)
        rows = [[(flat, text) for text in ["", *captions]]]
    _draw(rows, values, limits, path, title=title, volume=volume)
    return Path(path)


def _values(names: Sequence[str] | Mapping[str, int]) -> dict[str, int]:
    """Return name to integer, counted from 1 where only names are given."""
    if isinstance(names, Mapping):
        return dict(names)
    return {name: number for number, name in enumerate(names, 1)}


def _flat(array: Array, values: Mapping[str, int], shape: tuple[int, ...]) -> Labels:
    """Return one label map `(*S)`; overlapping regions are painted in their order."""
    if array.shape[: len(shape)] != shape:
        raise GeometryError(
            f"a label map of shape {array.shape} on an image of shape {shape}",
            hint="bring both to one grid first",
        )
    if array.ndim == len(shape):
        return array.astype(np.int32)
    if array.shape[-1] == 1:
        return array[..., 0].astype(np.int32)
    out = np.zeros(shape, np.int32)
    for channel, value in enumerate(values.values()):
        out[array[..., channel].astype(bool)] = value
    return out


def _percentiles(scan: Array) -> tuple[float, float]:
    finite = scan[np.isfinite(scan)].astype(np.float64)
    low, high = np.percentile(finite, _PERCENTILES) if finite.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def _volume_cuts(
    scan: Array,
    maps: Sequence[Labels | None],
    values: Sequence[int],
    affine: npt.NDArray[np.float64] | None,
    spacing: Sequence[float] | None,
) -> list[Cut]:
    """Return the three planes through the rarest structure of the reference, else prediction."""
    i, j, k = spacing if spacing is not None else (1.0, 1.0, 1.0)
    mm = (float(i), float(j), float(k))
    turned: list[Labels | None] = list(maps)
    if affine is not None:
        scan, mm = to_ras(scan, affine), ras_spacing(affine)
        turned = [None if one is None else to_ras(one, affine) for one in maps]  # type: ignore[misc]
    known = [one for one in turned if one is not None and np.isin(one, values).any()]
    point = centre(known[0], values) if known else tuple(size // 2 for size in scan.shape)
    return cut(scan, turned, point, mm, letters=affine is not None)


def _draw(
    rows: list[list[tuple[Cut, str]]],
    values: Mapping[str, int],
    limits: tuple[float, float],
    path: str | Path,
    *,
    title: str | None,
    volume: bool,
) -> None:
    sizes = [[one.size_mm for one, _ in row] for row in rows]
    shown = _shown(rows, values)
    both = all(one is not None for one in rows[0][0][0].maps)
    entries = [(name, colour_of(index)) for name, index in shown]
    page = Page(sizes, legend=len(entries) + both, title=bool(title), captions=volume)
    for row_index, row in enumerate(rows):
        for column_index, (one, text) in enumerate(row):
            axes = page.panel(row_index, column_index)
            _paint(axes, one, text, values, limits)
            if not volume and text:
                page.caption(axes, text)
        if volume and row[0][1]:
            page.row_caption(row_index, row[0][1])
    if volume:
        page.scale_bar()
    page.legend(entries, outline=f"outline of the {_REFERENCE}" if both else None)
    if title:
        page.title(title)
    with atomic_path(path) as draft:
        page.save(draft)


def _shown(rows: list[list[tuple[Cut, str]]], values: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return name and place of the classes that appear in any drawn plane."""
    seen: set[int] = set()
    for row in rows:
        for one, _ in row:
            for labels in one.maps:
                seen |= set() if labels is None else set(np.unique(labels).tolist())
    return [(name, index) for index, (name, value) in enumerate(values.items()) if value in seen]


def _paint(
    axes: "Axes", one: Cut, text: str, values: Mapping[str, int], limits: tuple[float, float]
) -> None:
    """Draw the scan, the map that `text` names, and on a prediction the reference's outline."""
    height, width = one.size_mm
    axes.imshow(
        one.image if one.image.ndim == 3 else one.image.astype(np.float32),
        cmap="gray",
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, width, height, 0),
        interpolation="bilinear",
    )
    reference, prediction = one.maps
    labels = {_REFERENCE: reference, _PREDICTION: prediction}.get(text)
    if labels is not None:
        for index, value in enumerate(values.values()):
            _outline(axes, labels == value, one.size_mm, colour_of(index), fill=_FILL)
    if text == _PREDICTION and reference is not None:
        for value in values.values():
            _outline(axes, reference == value, one.size_mm, TEXT, fill=0.0)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    if one.letters:
        edges = ((0.0, 0.5), (1.0, 0.5), (0.5, 1.0), (0.5, 0.0))
        for letter, (x, y) in zip(one.letters, edges, strict=True):
            Page.write(axes, letter, x, y)


def _outline(
    axes: "Axes",
    mask: npt.NDArray[np.bool_],
    size: tuple[float, float],
    colour: str,
    *,
    fill: float,
) -> None:
    """Draw a mask's boundary, and its inside where `fill` is above 0."""
    if not mask.any():
        return
    # a border of zeros closes outlines that run into the edge
    padded = np.pad(mask.astype(np.float32), 1)
    steps = size[0] / mask.shape[0], size[1] / mask.shape[1]
    y = (np.arange(padded.shape[0]) - 0.5) * steps[0]
    x = (np.arange(padded.shape[1]) - 0.5) * steps[1]
    if fill:
        axes.contourf(x, y, padded, levels=[0.5, 1.5], colors=[colour], alpha=fill)
    width, alpha = (1.3, 1.0) if fill else (0.8, 0.9)
    axes.contour(x, y, padded, levels=[0.5], colors=[colour], linewidths=width, alpha=alpha)
