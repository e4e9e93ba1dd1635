"""A patient on a grid: any voxel size, slab by slab, with partial volume."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InvalidValueError
from pipeline.phantom.patient import AIR_HU, Paint, Patient, grid_axes
from pipeline.phantom.scanner import scan
from pipeline.phantom.shapes import Array, Point

SPACING_MM: Final[Point] = (6.0, 6.0, 7.0)
FIELD_OF_VIEW_MM: Final[Point] = (288.0, 240.0, 210.0)
SLAB_VOXELS: Final = 2_000_000  # painted at a time: about fifteen float64 arrays of this size live

Axes = tuple[Array, Array, Array]
Crop = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Rendering:
    """A scan and its truth.

    Args:
        image: HU, int16 `(i, j, k)`.
        label: uint8 `(i, j, k)`, values of `LABELS`.
        affine: Index to RAS mm; the volume's middle is the origin.
    """

    image: NDArray[np.int16]
    label: NDArray[np.uint8]
    affine: Array


def render(
    patient: Patient,
    spacing: Point = SPACING_MM,
    shape: tuple[int, int, int] | None = None,
    *,
    slab_voxels: int = SLAB_VOXELS,
) -> Rendering:
    """Render a patient; +i is right, +j front, +k up.

    Args:
        patient: From `draw_patient`.
        spacing: Voxel size along i, j, k, mm.
        shape: Voxels along i, j, k; None covers the field of view of the default grid.
        slab_voxels: Bound of what is worked on at a time; changes memory, never the result.

    Raises:
        InvalidValueError: A size that is not positive.
    """
    sizes = shape or _covering(spacing)
    if min(sizes) < 1 or not all(0.0 < step < math.inf for step in spacing):
        raise InvalidValueError(
            f"a grid of {sizes} voxels of {spacing} mm", hint="give positive sizes"
        )
    clean = np.empty(sizes, np.float32)
    label = np.zeros(sizes, np.uint8)
    x, y, z = grid_axes(sizes, spacing)
    depth = max(1, slab_voxels // (sizes[0] * sizes[1]))
    for start in range(0, sizes[2], depth):
        part = slice(start, start + depth)
        clean[..., part], label[..., part] = _paint(patient, (x, y, z[part]), spacing)
    affine = np.diag((*spacing, 1.0))
    affine[:3, 3] = x[0], y[0], z[0]
    return Rendering(scan(clean, patient, (x, y, z), depth), label, affine)


def _covering(spacing: Point) -> tuple[int, int, int]:
    """Voxels that cover the field of view, at least one an axis."""
    i, j, k = (
        max(1, round(length / step)) if step > 0 else 0
        for length, step in zip(FIELD_OF_VIEW_MM, spacing, strict=True)
    )
    return i, j, k


def _paint(patient: Patient, axes: Axes, spacing: Point) -> tuple[Array, NDArray[np.uint8]]:
    """Noise-free HU and labels of a slab; a voxel is filled by the share that a solid covers."""
    moves = patient.bend.on(axes)
    straight = patient.bend.straight(axes)
    x, y, z = (
        move + axis
        for move, axis in zip(
            moves, np.meshgrid(*straight, indexing="ij", sparse=True), strict=True
        )
    )
    reach = tuple(float(np.abs(move).max()) for move in moves)
    edge, tissue = patient.edge.on(axes), patient.tissue.on(axes)
    hu = np.full(x.shape, AIR_HU)
    label = np.zeros(x.shape, np.uint8)
    blur = float(np.prod(spacing)) ** (1.0 / 3.0)
    for paint in patient.paints:
        box = _crop(paint, straight, reach, blur)
        if box is None:
            continue
        distance = paint.shape.distance(x[box], y[box], z[box])
        if paint.ripple:
            distance += paint.ripple * edge[box]
        share = np.clip(0.5 - distance / blur, 0.0, 1.0)
        colour = paint.hu + paint.mottle * tissue[box] if paint.mottle else paint.hu
        hu[box] += share * (colour - hu[box])
        if paint.label is not None:
            label[box][distance < 0.0] = paint.label
    return hu, label


def _crop(paint: Paint, straight: Axes, reach: tuple[float, ...], blur: float) -> Crop | None:
    """Where in the slab a solid can show; None where it cannot."""
    slices = []
    for axis, far, low, high in zip(straight, reach, *paint.shape.bounds(), strict=True):
        # twice the half voxel of partial volume, and more than an edge can ripple
        margin = far + blur + 8.0 * paint.ripple
        start = int(np.searchsorted(axis, low - margin))
        stop = int(np.searchsorted(axis, high + margin))
        if start >= stop:
            return None
        slices.append(slice(start, stop))
    return slices[0], slices[1], slices[2]
