"""Where the slices of a series lie: from positions, orientation and pixel spacing alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import GeometryError
from pipeline.io.dicom.headers import DAMAGED
from pipeline.io.dicom.slices import Slice
from pipeline.io.tolerances import (
    COSINE_TOLERANCE,
    POSITION_TOLERANCE_MM,
    SPACING_TOLERANCE,
    UNIT_TOLERANCE,
    position_tolerance,
)
from pipeline.io.volume import Affine

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Slices of one size and orientation, sorted along their normal; all in mm and LPS.

    `row` is the direction in which the column index grows, `column` that of the row index.
    """

    slices: tuple[Slice, ...]
    row: Vector
    column: Vector
    spacing: tuple[float, float]
    positions: Vector

    @property
    def normal(self) -> Vector:
        """Unit vector from slice to slice."""
        return np.cross(self.row, self.column)

    @property
    def along(self) -> Vector:
        """Places of the slices on the normal, ascending."""
        return self.positions @ self.normal

    def pick(self, indices: Sequence[int]) -> "Planes":
        """Return the planes at `indices`, which ascend."""
        chosen = tuple(self.slices[index] for index in indices)
        return Planes(chosen, self.row, self.column, self.spacing, self.positions[list(indices)])

    def affine(self, step: Vector, origin: Vector) -> Affine:
        """Return (column, row, slice) to RAS mm."""
        matrix = np.eye(4)
        # PixelSpacing is (between rows, between columns); a column's index moves along the row
        matrix[:3, 0], matrix[:3, 1] = self.row * self.spacing[1], self.column * self.spacing[0]
        matrix[:3, 2], matrix[:3, 3] = step, origin
        return LPS_TO_RAS @ matrix


def planes(slices: Sequence[Slice]) -> Planes:
    """Return the slices of one series sorted by position, their common plane checked.

    Raises:
        GeometryError: A position, orientation or spacing is missing or unusable, or slices
            differ in size, orientation or spacing.
    """
    first = slices[0]
    _refuse_sizes(slices)
    cosines = np.array([one.numbers("ImageOrientationPatient", 6) for one in slices])
    row, column = _orientation(first, cosines[0])
    _refuse_turned(slices, cosines)
    spacings = np.array([one.numbers("PixelSpacing", 2) for one in slices])
    _refuse_spacings(slices, spacings)
    positions = np.array([one.numbers("ImagePositionPatient", 3) for one in slices])
    order = np.argsort(positions @ np.cross(row, column), kind="stable")
    ordered = tuple(slices[index] for index in order)
    spacing = (float(spacings[0, 0]), float(spacings[0, 1]))
    return Planes(ordered, row, column, spacing, positions[order])


def _refuse_sizes(slices: Sequence[Slice]) -> None:
    first = slices[0]
    size = (first.columns, first.rows)
    for one in slices:
        if (one.columns, one.rows) != size:
            raise GeometryError(
                f"{one.name}: {one.columns}x{one.rows} pixels, {size[0]}x{size[1]} in "
                f"{first.below}",
                hint="keep slices of one size in the folder",
            )


def _orientation(one: Slice, given: Vector) -> tuple[Vector, Vector]:
    """Return the directions of a row and of a column, made orthonormal, in LPS."""
    row, column = given[:3], given[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > UNIT_TOLERANCE:
        raise GeometryError(
            f"{one.name}: ImageOrientationPatient has lengths {lengths[0]:.4f}, {lengths[1]:.4f}",
            hint=DAMAGED,
        )
    row, column = row / lengths[0], column / lengths[1]
    cosine = float(row @ column)
    if abs(cosine) > UNIT_TOLERANCE:
        raise GeometryError(
            f"{one.name}: rows and columns are {np.degrees(np.arccos(cosine)):.2f} degrees apart",
            hint=DAMAGED,
        )
    # half of the fault is taken from each, so that neither axis is preferred
    row, column = row - cosine / 2 * column, column - cosine / 2 * row
    normal = np.cross(row, column)
    row = row / np.linalg.norm(row)
    return row, np.cross(normal / np.linalg.norm(normal), row)


def _refuse_turned(slices: Sequence[Slice], cosines: Vector) -> None:
    turned = np.abs(cosines - cosines[0]).max(axis=1)
    worst = int(turned.argmax())
    if turned[worst] > COSINE_TOLERANCE:
        raise GeometryError(
            f"{slices[worst].name}: orientation differs by {turned[worst]:.4f} from "
            f"{slices[0].below}",
            hint="keep slices of one orientation in the folder",
        )


def _refuse_spacings(slices: Sequence[Slice], spacings: Vector) -> None:
    worst = int(spacings.min(axis=1).argmin())
    if spacings[worst].min() <= 0:
        raise GeometryError(
            f"{slices[worst].name}: PixelSpacing is {spacings[worst].tolist()} mm", hint=DAMAGED
        )
    apart = np.abs(spacings / spacings[0] - 1).max(axis=1)
    worst = int(apart.argmax())
    if apart[worst] > SPACING_TOLERANCE:
        raise GeometryError(
            f"{slices[worst].name}: PixelSpacing {spacings[worst].tolist()} mm, "
            f"{spacings[0].tolist()} mm in {slices[0].below}",
            hint=DAMAGED,
        )


def stacked(found: Planes) -> tuple[Affine, tuple[str, ...]]:
    """Return the affine of planes that form one even grid, and what is unusual about it.

    Raises:
        GeometryError: A gap, uneven steps, or planes off their line; what is wrong, where.
    """
    if len(found.slices) == 1:
        return _single(found)
    _refuse_uneven(found)
    step, origin = _line(found.positions)
    along = float(step @ found.normal)
    off = np.linalg.norm(
        found.positions - origin - np.outer(np.arange(len(found.slices)), step), axis=1
    )
    worst = int(off.argmax())
    if off[worst] > position_tolerance(along):
        raise GeometryError(
            f"{found.slices[worst].name}: {off[worst]:.3f} mm off the line of the other slices",
            hint="fetch the series again, or resample it with --regularize",
        )
    sideways = step - along * found.normal
    drift = float(np.linalg.norm(sideways))
    if drift * (len(found.slices) - 1) <= position_tolerance(along):
        # no more than rounding: square axes, which every format can hold
        return found.affine(along * found.normal, origin), ()
    angle = float(np.degrees(np.arctan2(drift, along)))
    note = f"slices are stacked {angle:.2f} degrees off their normal: sheared affine"
    return found.affine(step, origin), (note,)


def _single(found: Planes) -> tuple[Affine, tuple[str, ...]]:
    one = found.slices[0]
    try:
        thickness = one.numbers("SliceThickness", 1)[0]
    except GeometryError:
        thickness = 0.0
    depth = thickness if thickness > 0 else 1.0
    source = "its SliceThickness" if thickness > 0 else "no SliceThickness"
    note = f"a single slice, {depth:g} mm deep ({source})"
    return found.affine(found.normal * depth, found.positions[0]), (note,)


def _line(positions: Vector) -> tuple[Vector, Vector]:
    """Return step and origin of the line that lies closest to all positions."""
    index = np.arange(len(positions)) - (len(positions) - 1) / 2
    middle = positions.mean(axis=0)
    step: Vector = index @ (positions - middle) / (index @ index)
    return step, middle + index[0] * step


def ranges(along: Vector) -> list[tuple[int, int]]:
    """Return runs of even spacing as (first, last) indices of `along`, which ascends."""
    runs, first = [], 0
    steps = np.diff(along)
    while first < len(along):
        last = first
        while last < len(steps) and _continues(steps, first, last):
            last += 1
        runs.append((first, last))
        first = last + 1
    return runs


def usual_step(steps: Vector) -> float:
    """Return the step of an even series in mm, gaps and uneven steps apart.

    Where all steps are multiples of the smallest, whole slices are missing; else the median.
    """
    least = float(steps.min())
    if least > 0:
        counts = np.rint(steps / least)
        if (np.abs(steps - counts * least) <= counts * position_tolerance(least)).all():
            return least
    return float(np.median(steps))


def _continues(steps: Vector, first: int, last: int) -> bool:
    """Whether the step after slice `last` goes on evenly in the run that began at `first`."""
    if last > first:
        return bool(abs(steps[last] - steps[first]) <= position_tolerance(float(steps[first])))
    return last + 1 >= len(steps) or bool(steps[last] <= 1.5 * steps[last + 1])


def _refuse_uneven(found: Planes) -> None:
    """Refuse a gap, or steps that differ; name its place, its size and the ranges beside it."""
    along = found.along
    steps = np.diff(along)
    spacing = usual_step(steps)
    tolerance = position_tolerance(spacing)
    wrong = int(np.abs(steps - spacing).argmax())
    closest = int(steps.argmin())
    if steps[closest] <= min(POSITION_TOLERANCE_MM, 0.05 * float(steps.max())):
        raise GeometryError(
            f"{found.slices[closest].name} and {found.slices[closest + 1].below} lie in one "
            f"plane, {along[closest]:.2f} mm along the normal",
            hint=DAMAGED,
        )
    if abs(steps[wrong] - spacing) <= tolerance:
        return
    bad = int((np.abs(steps - spacing) > tolerance).sum())
    what = "a gap" if steps[wrong] > spacing + tolerance else "an uneven step"
    more = f" ({bad} such steps)" if bad > 1 else ""
    runs = ranges(along)
    said = "; ".join(
        f"[{number}] {last - first + 1} slices from {along[first]:.2f} to {along[last]:.2f} mm"
        for number, (first, last) in enumerate(runs[:5], 1)
    ) + ("; ..." if len(runs) > 5 else "")
    raise GeometryError(
        f"{found.slices[wrong].name}: {what} of {steps[wrong]:.3f} mm to "
        f"{found.slices[wrong + 1].below} (slices {wrong + 1} and {wrong + 2} of {len(along)} at "
        f"{along[wrong]:.2f} and {along[wrong + 1]:.2f} mm), the others lie {spacing:.3f} mm "
        f"apart{more}; {len(runs)} ranges: {said}",
        hint="fetch the missing slices, pick with --range N, or resample with --regularize",
    )
