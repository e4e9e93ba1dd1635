"""Uneven, gapped or tilted slices resampled on an even, orthogonal grid; only if asked to."""

import numpy as np
import numpy.typing as npt

from pipeline.errors import GeometryError
from pipeline.io.dicom.geometry import Planes, usual_step
from pipeline.io.tolerances import position_tolerance
from pipeline.io.values import Array
from pipeline.io.volume import Affine

_SLICES_AT_MOST = 20_000


def regular_grid(array: Array, found: Planes) -> tuple[Array, Affine, tuple[str, ...]]:
    """Return `(i, j, k)` linearly resampled, its affine to RAS mm, and what was done.

    The spacing across is the usual step. In plane the grid is widened until every
    slice, shifted as it may be, lies inside; what no slice covers has the volume's lowest value.

    Raises:
        GeometryError: Slices in one plane, or a grid far larger than the series.
    """
    along = found.along
    if len(along) < 2:
        return array, found.affine(found.normal, found.positions[0]), ()
    steps = np.diff(along)
    step = usual_step(steps)
    count = round((along[-1] - along[0]) / step) + 1 if step > 0 else 0
    if steps.min() <= 0 or count > min(_SLICES_AT_MOST, 100 * len(along)):
        raise GeometryError(
            f"{found.slices[0].header.entry.name}: steps from {steps.min():.3f} to "
            f"{steps.max():.3f} mm cannot be made even",
            hint="pick one range with --range N",
        )
    shifts = _shifts(found)
    low = np.floor(shifts.min(axis=0) + 1e-6).astype(int)
    high = np.ceil(shifts.max(axis=0) - 1e-6).astype(int)
    size = np.array(array.shape[:2]) + high - low
    places = along[0] + step * np.arange(count)
    out = np.full((*size, count), array.min(), np.float32)
    for index, place in enumerate(places):
        out[..., index] = _slice_at(array, along, shifts - low, place, tuple(size), array.min())
    origin = (
        found.positions[0]
        + (low[0] - shifts[0, 0]) * found.spacing[1] * found.row
        + (low[1] - shifts[0, 1]) * found.spacing[0] * found.column
    )
    affine = found.affine(found.normal * step, origin)
    return _whole(out), affine, (_note(steps, step, shifts, found, count),)


def _shifts(found: Planes) -> npt.NDArray[np.float64]:
    """Return how far every slice lies from the first in its plane, in columns and rows."""
    away = found.positions - found.positions[0]
    return np.stack(
        [away @ found.row / found.spacing[1], away @ found.column / found.spacing[0]], axis=1
    )


def _slice_at(
    array: Array,
    along: npt.NDArray[np.float64],
    shifts: npt.NDArray[np.float64],
    place: float,
    size: tuple[int, ...],
    fill: float,
) -> npt.NDArray[np.float32]:
    """Return the plane at `place` mm along the normal, between the slices on both sides."""
    upper = int(np.clip(np.searchsorted(along, place), 1, len(along) - 1))
    lower = upper - 1
    share = float(np.clip((place - along[lower]) / (along[upper] - along[lower]), 0, 1))
    if share < 1e-6:
        return _shifted(array[..., lower], shifts[lower], size, fill)
    if share > 1 - 1e-6:
        return _shifted(array[..., upper], shifts[upper], size, fill)
    # between two shifted slices the object lies between their shifts: both are brought onto
    # the grid first, each at its own place
    below = _shifted(array[..., lower], shifts[lower], size, np.nan)
    above = _shifted(array[..., upper], shifts[upper], size, np.nan)
    mixed = (1 - share) * below + share * above
    mixed = np.where(np.isnan(below), above, np.where(np.isnan(above), below, mixed))
    return np.where(np.isnan(mixed), np.float32(fill), mixed).astype(np.float32)


def _shifted(
    plane: Array, shift: npt.NDArray[np.float64], size: tuple[int, ...], fill: float
) -> npt.NDArray[np.float32]:
    """Return a plane `(columns, rows)` moved by a part of a pixel onto a larger grid."""
    out = np.full(size, fill, np.float32)
    whole = np.floor(shift + 1e-6).astype(int)
    part = np.clip(shift - whole, 0, 1)
    part[part < 2e-6] = 0
    values = plane.astype(np.float32)
    for axis in (0, 1):
        if part[axis]:
            # pixel n of the grid lies between n - 1 and n of the plane
            values = np.moveaxis(values, axis, 0)
            values = (1 - part[axis]) * values[1:] + part[axis] * values[:-1]
            values = np.moveaxis(values, 0, axis)
            whole[axis] += 1
    columns, rows = values.shape
    out[whole[0] : whole[0] + columns, whole[1] : whole[1] + rows] = values
    return out


def _whole(array: npt.NDArray[np.float32]) -> Array:
    """Return int16 where nothing but whole numbers came out."""
    limits = np.iinfo(np.int16)
    fits = array.min() >= limits.min and array.max() <= limits.max
    return array.astype(np.int16) if fits and bool((np.rint(array) == array).all()) else array


def _note(
    steps: npt.NDArray[np.float64],
    step: float,
    shifts: npt.NDArray[np.float64],
    found: Planes,
    count: int,
) -> str:
    gap = float(steps.max())
    said = f"resampled on an even grid: {len(steps) + 1} slices became {count}, {step:.3f} mm apart"
    if gap > 1.5 * step:
        said += f"; a gap of {gap:.3f} mm is filled in"
    moved = float(np.abs(shifts * [found.spacing[1], found.spacing[0]]).max())
    if moved > position_tolerance(step):
        said += f"; slices moved by up to {moved:.3f} mm in plane"
    return said
