"""Bringing a mask onto another grid in the same space, by the nearest voxel."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform

from pipeline.errors import GeometryError

Affine = npt.NDArray[np.float64]

SAME_MM = 1e-3  # corners of two grids that are nearer than this are the same place


def same_grid(
    shape: Sequence[int], affine: Affine, other_shape: Sequence[int], other_affine: Affine
) -> bool:
    """Say whether two grids have the same size and no corner more than 1e-3 mm apart."""
    if tuple(shape) != tuple(other_shape):
        return False
    corners = _corners(shape)
    apart = np.linalg.norm(_moved(affine, corners) - _moved(other_affine, corners), axis=1)
    return bool(apart.max() <= SAME_MM)


def onto_grid(
    mask: npt.NDArray[Any], affine: Affine, shape: Sequence[int], target_affine: Affine
) -> npt.NDArray[Any]:
    """Return `mask`, `(i, j, k)` or `(i, j, k, C)`, on the grid of `shape` and `target_affine`.

    Each voxel takes the value of the nearest voxel of `mask`, 0 where it lies outside. Type kept.

    Args:
        mask: Integers, or channels of 0 and 1.
        affine: Index of `mask` to RAS mm.
        shape: Three sizes.
        target_affine: Index of the result to RAS mm.

    Raises:
        GeometryError: The two fields of view have no voxel in common.
    """
    back = np.linalg.inv(affine) @ target_affine
    reach = _moved(back, _corners(shape))
    size = np.array(mask.shape[:3])
    if (reach.max(0) < -0.5).any() or (reach.min(0) > size - 0.5).any():
        raise GeometryError(
            "the mask and the grid it should go onto do not overlap",
            hint="check that both belong to the same scan",
        )
    channels = mask.reshape(*mask.shape[:3], -1)
    result = np.empty((*shape, channels.shape[-1]), mask.dtype)
    for n in range(channels.shape[-1]):
        affine_transform(
            channels[..., n],
            back[:3, :3],
            back[:3, 3],
            output_shape=tuple(shape),
            output=result[..., n],
            order=0,
            mode="grid-constant",  # the outer voxels reach half a voxel beyond their centres
        )
    return result.reshape(*shape, *mask.shape[3:])


def _corners(shape: Sequence[int]) -> npt.NDArray[np.float64]:
    """Indices of the eight corner voxels, `(8, 3)`."""
    return np.array(list(product(*((0, n - 1) for n in shape[:3]))), dtype=np.float64)


def _moved(affine: Affine, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points `(N, 3)` through an affine."""
    moved: npt.NDArray[np.float64] = points @ affine[:3, :3].T + affine[:3, 3]
    return moved
