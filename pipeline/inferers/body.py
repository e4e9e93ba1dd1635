"""Where in a CT scan the body is: most of the rest is air, in which nothing need be computed."""

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.inferers.layout import Box

COARSE_MM: Final = 6.0  # between the voxels that are looked at
TISSUE_HU: Final = -400.0  # above air, and above what tables are filled with
SMALLEST_ML: Final = 3.0  # of a component: an arm or a leg beside the trunk is one
REGROWN: Final = 2  # coarse voxels: what the opening takes of a nose or a finger
MARGIN_MM: Final = 12.0  # around the box, as far as it costs no window


def body_box(volume: NDArray[Any], spacing: Sequence[float]) -> Box | None:
    """Return the box around everything in a scan that is no air and no table.

    Every few millimetres a voxel is looked at. An opening takes thin sheets away, so tables and
    blankets go; of what is left each component of a few ml counts, and regrows a little into what
    it was connected to.

    Args:
        volume: `(i, j, k)` in HU.
        spacing: mm along its axes.

    Returns:
        One span per axis; None where there is nothing but air.
    """
    steps = [max(1, round(COARSE_MM / mm)) for mm in spacing]
    coarse = np.asarray(volume[tuple(slice(None, None, s) for s in steps)]) > TISSUE_HU
    apart = [s * mm for s, mm in zip(steps, spacing, strict=True)]
    cross = ndimage.generate_binary_structure(3, 1)
    # beyond the scan the body goes on: its first and last slices are no sheets
    opened = ndimage.binary_opening(np.pad(coarse, 1, mode="edge"), cross)[1:-1, 1:-1, 1:-1]
    labels, number = ndimage.label(opened & coarse)
    sizes = np.bincount(labels.ravel(), minlength=number + 1) * prod(apart) / 1000
    kept = np.flatnonzero(sizes[1:] >= SMALLEST_ML) + 1
    if not len(kept):
        return None
    body = ndimage.binary_dilation(np.isin(labels, kept), cross, REGROWN, mask=coarse)
    (found,) = ndimage.find_objects(body.astype(np.uint8))
    return tuple(
        (max(0, part.start * step - step + 1), min(size, part.stop * step))
        for part, step, size in zip(found, steps, volume.shape, strict=True)
    )
