"""Where the slices of a series lie: from positions, orientation and pixel spacing alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import GeometryError
from pipeline.io.dicom_files import Slice
from pipeline.io.volume import Affine

POSITION_TOLERANCE_MM = 0.01
POSITION_TOLERANCE_SHARE = 0.01
"""Slices may be uneven or off their line by the larger of both; the share is of the spacing."""

COSINE_TOLERANCE = 1e-4
"""Direction cosines may differ by this between the slices of a series."""

UNIT_TOLERANCE = 1e-2
"""Row and column directions may be off unit length and off a right angle by this."""

SPACING_TOLERANCE = 1e-4
"""Relative difference of PixelSpacing between the slices of a series."""

_HINT = "fetch or export the series again"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices along their normal, and the affine from (column, row, slice) to RAS mm."""

    slices: tuple[Slice, ...]
    affine: Affine
    warnings: tuple[str, ...]


def stack(slices: Sequence[Slice]) -> Stack:
    """Return the slices of one series sorted by position, with their common affine.

    Raises:
        GeometryError: A position, orientation or spacing is missing or unusable; slices differ
            in size or orientation; two lie at one place; a gap; uneven steps; off the line.
    """
    first = slices[0]
    row, column = _orientation(first)
    spacing = _numbers(first, "PixelSpacing", 2)
    if spacing.min() <= 0:
        raise GeometryError(f"{first.path}: PixelSpacing is {spacing.tolist()} mm", hint=_HINT)
    for one in slices[1:]:
        _refuse_different(first, one, np.r_[row, column], spacing)
    normal = np.cross(row, column)
    positions = np.array([_numbers(one, "ImagePositionPatient", 3) for one in slices])
    order = np.argsort(positions @ normal, kind="stable")
    positions, ordered = positions[order], tuple(slices[index] for index in order)
    step, warnings = _step(ordered, positions, normal)
    affine = np.eye(4)
    # PixelSpacing is (between rows, between columns); a column's index moves along the row
    affine[:3, 0], affine[:3, 1] = row * spacing[1], column * spacing[0]
    affine[:3, 2], affine[:3, 3] = step, positions[0]
    return Stack(ordered, _LPS_TO_RAS @ affine, warnings)


def _numbers(one: Slice, name: str, count: int) -> Vector:
    """Return `count` finite numbers of an attribute, or refuse."""
    try:
        values = np.array([float(value) for value in one.header[name].value], np.float64)
    except KeyError:
        raise GeometryError(f"{one.path}: no {name}", hint=_HINT) from None
    except (TypeError, ValueError) as error:
        raise GeometryError(f"{one.path}: {name} is no list of numbers", hint=_HINT) from error
    if values.shape != (count,) or not np.isfinite(values).all():
        raise GeometryError(f"{one.path}: {name} is {values.tolist()}", hint=_HINT)
    return values


def _orientation(one: Slice) -> tuple[Vector, Vector]:
    """Return the directions of a row and of a column, made orthonormal, in LPS."""
    given = _numbers(one, "ImageOrientationPatient", 6)
    row, column = given[:3], given[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > UNIT_TOLERANCE:
        raise GeometryError(
            f"{one.path}: ImageOrientationPatient has lengths {lengths[0]:.4f}, {lengths[1]:.4f}",
            hint=_HINT,
        )
    row, column = row / lengths[0], column / lengths[1]
    cosine = float(row @ column)
    if abs(cosine) > UNIT_TOLERANCE:
        raise GeometryError(
            f"{one.path}: rows and columns are {np.degrees(np.arccos(cosine)):.2f} degrees apart",
            hint=_HINT,
        )
    # half of the fault is taken from each, so that neither axis is preferred
    row, column = row - cosine / 2 * column, column - cosine / 2 * row
    normal = np.cross(row, column)
    row /= np.linalg.norm(row)
    column = np.cross(normal / np.linalg.norm(normal), row)
    return row, column


def _refuse_different(first: Slice, one: Slice, cosines: Vector, spacing: Vector) -> None:
    if (first.rows, first.columns) != (one.rows, one.columns):
        raise GeometryError(
            f"{one.path}: {one.columns}x{one.rows} pixels, {first.columns}x{first.rows} in "
            f"{first.path.name}",
            hint="keep slices of one size in the folder",
        )
    turned = float(np.abs(np.r_[_orientation(one)] - cosines).max())
    if turned > COSINE_TOLERANCE:
        raise GeometryError(
            f"{one.path}: orientation differs by {turned:.4f} from {first.path.name}",
            hint="keep slices of one orientation in the folder",
        )
    other = _numbers(one, "PixelSpacing", 2)
    if np.abs(other / spacing - 1).max() > SPACING_TOLERANCE:
        raise GeometryError(
            f"{one.path}: PixelSpacing {other.tolist()} mm, {spacing.tolist()} mm in "
            f"{first.path.name}",
            hint=_HINT,
        )


def _step(
    slices: tuple[Slice, ...], positions: Vector, normal: Vector
) -> tuple[Vector, tuple[str, ...]]:
    """Return the vector from slice to slice, after every place is checked against it."""
    if len(slices) == 1:
        thickness = slices[0].header.get("SliceThickness")
        depth = float(thickness) if thickness and float(thickness) > 0 else 1.0
        source = "its SliceThickness" if thickness else "no SliceThickness"
        return normal * depth, (f"a single slice, {depth:g} mm deep ({source})",)
    along = positions @ normal
    _refuse_uneven(slices, along)
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    off = np.linalg.norm(positions - positions[0] - np.outer(np.arange(len(slices)), step), axis=1)
    worst = int(off.argmax())
    if off[worst] > _tolerance(float(step @ normal)):
        raise GeometryError(
            f"{slices[worst].path}: {off[worst]:.3f} mm off the line of the other slices",
            hint=_HINT,
        )
    sideways = float(np.linalg.norm(step - (step @ normal) * normal))
    if sideways <= _tolerance(float(step @ normal)) / len(slices):
        return step, ()
    angle = float(np.degrees(np.arctan2(sideways, step @ normal)))
    return step, (f"slices are stacked {angle:.2f} degrees off their normal: sheared affine",)


def _tolerance(spacing: float) -> float:
    return max(POSITION_TOLERANCE_MM, POSITION_TOLERANCE_SHARE * abs(spacing))


def _refuse_uneven(slices: tuple[Slice, ...], along: Vector) -> None:
    """Refuse slices at one place, a gap, or steps that differ; `along` is sorted, in mm."""
    steps = np.diff(along)
    spacing = float(np.median(steps))
    closest = int(steps.argmin())
    if steps[closest] <= POSITION_TOLERANCE_MM:
        raise GeometryError(
            f"{slices[closest].path} and {slices[closest + 1].path.name} lie at one place, "
            f"{along[closest]:.2f} mm along the normal",
            hint="keep one image a place: one phase, no copies",
        )
    tolerance = _tolerance(spacing)
    wrong = int(np.abs(steps - spacing).argmax())
    if abs(steps[wrong] - spacing) <= tolerance:
        return
    what = "a gap" if steps[wrong] > spacing + tolerance else "an uneven step"
    raise GeometryError(
        f"{slices[wrong].path}: {what} of {steps[wrong]:.3f} mm to {slices[wrong + 1].path.name} "
        f"(slices {wrong + 1} and {wrong + 2} of {len(slices)} at {along[wrong]:.2f} and "
        f"{along[wrong + 1]:.2f} mm), the others lie {spacing:.3f} mm apart",
        hint="fetch the missing slices",
    )
