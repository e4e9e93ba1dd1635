"""Distances between the surfaces of two masks.

MONAI gives NaN where one mask is empty, so that missing a structure raises its mean (its issue
9095), and measures by distance transforms of whole boxes. Here the surfaces are sets of points:
a tree of one, asked for the nearest neighbours of the other, is exact and took a tenth of the time.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.float64]

_ROUNDING_MM = 1e-6  # a distance of ten voxels of 0.2 mm is within 2 mm, whatever its last bit


def boundary(mask: Mask) -> Mask:
    """Return the voxels of `mask` with a face neighbour outside it (4 in 2D, 6 in 3D).

    What lies beyond the array counts as outside: a structure that the image cuts off has its
    surface there.
    """
    inner = mask.copy()
    for axis in range(mask.ndim):
        source, target = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        target[1:] &= source[:-1]
        target[:-1] &= source[1:]
        target[[0, -1]] = False
    return mask & ~inner


def surface_distances(
    prediction: Mask, label: Mask, spacing: Sequence[float]
) -> tuple[Distances, Distances]:
    """Return for each surface voxel of one mask the distance in mm to the other's surface.

    Args:
        prediction: Any voxel true; the same shape as `label`.
        label: Any voxel true.
        spacing: Mm per voxel, one for each axis.

    Returns:
        Distances from the prediction to the label, and from the label to the prediction.
    """
    there, truth = boundary(prediction), boundary(label)
    return _to_surface(there, truth, spacing), _to_surface(truth, there, spacing)


def hausdorff_95(there: Distances, back: Distances) -> float:
    """Return the larger of both directions' 95th percentiles, in mm."""
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def surface_dice(there: Distances, back: Distances, tolerance: float) -> float:
    """Return the share of both surfaces' voxels that lie within `tolerance` mm of the other.

    Source: Nikolov et al. 2018 (arXiv 1809.04430), equation 1.
    Deviations: counts surface voxels where the authors weigh them by their area, as MONAI does
        by default; on strongly anisotropic voxels the two differ.
    """
    near = sum(np.count_nonzero(side <= tolerance + _ROUNDING_MM) for side in (there, back))
    return float(near / (len(there) + len(back)))


def _to_surface(points: Mask, surface: Mask, spacing: Sequence[float]) -> Distances:
    """Distance in mm of each true voxel of `points` to the nearest true voxel of `surface`."""
    distances = np.zeros(np.count_nonzero(points))
    apart = np.argwhere(points & ~surface)  # the shared voxels are at 0
    if len(apart):
        tree = cKDTree(np.argwhere(surface) * spacing, balanced_tree=False, compact_nodes=False)
        distances[: len(apart)] = tree.query(apart * spacing)[0]
    return distances
