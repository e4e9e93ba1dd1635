"""Two grids in one world: how far apart they are, and labels brought from one to the other."""

import itertools

import numpy as np

from pipeline.errors import GeometryError
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS
from pipeline.io.values import Array
from pipeline.io.volume import Affine, Volume


def corner_distance(one: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """Return the largest distance, in voxels of `one`, between both images of a corner."""
    corners = np.array(list(itertools.product((0, 1), repeat=3))) * (np.array(shape) - 1)
    homogeneous = np.c_[corners, np.ones(8)]
    moved = (np.linalg.inv(one) @ other @ homogeneous.T).T[:, :3]
    return float(np.abs(moved - corners).max())


def to_grid(label: Volume, affine: Affine, shape: tuple[int, ...]) -> Volume:
    """Return a label map on the grid of its image, where that only takes mirrors and swaps.

    Label maps are often written with other axis codes over the same box; by index they would
    lie upside down.

    Raises:
        GeometryError: Another box: resampling would be needed.
    """
    if label.affine is None:
        raise GeometryError("a picture has no place in the world", hint="give a NIfTI label map")
    if label.shape == shape and corner_distance(affine, label.affine, shape) == 0:
        return label
    between = np.linalg.inv(label.affine) @ affine
    axes = np.abs(between[:3, :3]).argmax(axis=0)
    array: Array = label.array
    if sorted(axes.tolist()) == [0, 1, 2]:
        array = array.transpose(*axes.tolist(), *range(3, array.ndim))
        signs = np.sign(between[axes, range(3)])
        array = array[tuple(slice(None, None, -1 if sign < 0 else None) for sign in signs)]
        matrix = np.zeros((4, 4))
        matrix[axes, range(3)] = signs
        matrix[3, 3] = 1
        sizes = np.array(label.shape)[axes]
        matrix[axes, 3] = np.where(signs < 0, sizes - 1, 0)
        if tuple(sizes.tolist()) == shape:
            apart = corner_distance(affine, label.affine @ matrix, shape)
            if apart <= GRID_TOLERANCE_VOXELS:
                moved = not np.array_equal(matrix, np.eye(4))
                note = ("axes turned to those of the image",) if moved else ()
                return Volume(array, affine, label.modality, (*label.warnings, *note), label.facts)
    far = corner_distance(affine, label.affine, shape)
    raise GeometryError(
        f"a label map of {'x'.join(map(str, label.shape))} voxels on another grid than its image "
        f"of {'x'.join(map(str, shape))}, {far:.3g} voxels away at a corner",
        hint="resample the label map on the image's grid with nearest neighbour",
    )
