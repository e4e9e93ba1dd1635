"""Which planes of a volume to show, and how they lie on the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Labels = npt.NDArray[np.integer]

_AXES = ((0, 1), (0, 2), (1, 2))  # axial, coronal, sagittal: (across, up) of the page
_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))  # (plus end, minus end) of i, j, k in RAS


@dataclass(frozen=True, slots=True)
class Cut:
    """One plane: the image and label maps `(up, across)`, its size in mm, its edge letters.

    Args:
        image: Grey `(up, across)` or colour `(up, across, 3)`; row 0 is the top.
        maps: Label maps on the same grid, in the order given; None where there is none.
        size_mm: (height, width).
        letters: Left, right, top, bottom; None where the orientation is not known.
    """

    image: Array
    maps: tuple[Labels | None, ...]
    size_mm: tuple[float, float]
    letters: tuple[str, str, str, str] | None


def to_ras(array: Array, affine: npt.NDArray[np.float64]) -> Array:
    """Return `(i, j, k[, C])` flipped and permuted so that its axes run nearest to R, A, S."""
    from nibabel.orientations import apply_orientation

    turn: Any = apply_orientation
    turned: Array = turn(array, _orientation(affine))
    return turned


def ras_spacing(affine: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return mm per voxel along the axes of `to_ras`."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    order = np.argsort(_orientation(affine)[:, 0])
    i, j, k = lengths[order].tolist()
    return i, j, k


def _orientation(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return for each axis of the array the RAS axis nearest to it, and its sign."""
    from nibabel.orientations import io_orientation

    nearest: Any = io_orientation
    return np.asarray(nearest(affine), np.float64)


def centre(labels: Labels, values: Sequence[int]) -> tuple[int, ...]:
    """Return the voxel `(i, j, k)` whose three planes show the rarest structure and much else.

    Among the inner half of the voxels of the rarest class, the one in whose planes most classes
    are seen; the middle of the volume where there is no class at all.
    """
    counts = {value: int((labels == value).sum()) for value in values}
    present = [value for value in values if counts[value]]
    if not present:
        return tuple(size // 2 for size in labels.shape)
    rarest = min(present, key=counts.__getitem__)
    voxels = np.argwhere(labels == rarest)
    distance = np.linalg.norm(voxels - voxels.mean(axis=0), axis=1)
    inner = distance <= np.median(distance)
    voxels, distance = voxels[inner], distance[inner]
    seen = np.zeros(len(voxels))
    for axis in range(labels.ndim):
        others = tuple(other for other in range(labels.ndim) if other != axis)
        classes = sum((labels == value).any(axis=others).astype(int) for value in present)
        seen += np.asarray(classes)[voxels[:, axis]]
    # a distance below 1 voxel decides between planes that show the same number of classes
    best = int(np.argmax(seen - distance / (1 + distance.max())))
    return tuple(int(index) for index in voxels[best])


def cut(
    image: Array,
    maps: Sequence[Labels | None],
    point: tuple[int, ...],
    spacing: tuple[float, float, float],
    *,
    letters: bool,
) -> list[Cut]:
    """Return the axial, coronal and sagittal plane of RAS arrays `(i, j, k)` through `point`.

    Drawn as radiologists look: from the feet, from the front, and from the left side, so that
    the patient's right, and in the sagittal plane the front, are on the left of the page.
    """
    planes = []
    for across, up in _AXES:
        normal = 3 - across - up

        def page(array: Array, normal: int = normal) -> Array:
            # up and across both run against the index: plus is the top and the left
            plane: Array = np.take(array, point[normal], axis=normal)
            return plane.T[::-1, ::-1]

        size = image.shape[up] * spacing[up], image.shape[across] * spacing[across]
        edges = (*_LETTERS[across], *_LETTERS[up]) if letters else None
        drawn = tuple(None if one is None else page(one) for one in maps)
        planes.append(Cut(page(image), drawn, size, edges))  # type: ignore[arg-type]
    return planes
