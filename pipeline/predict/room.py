"""Whether the steps around the network have room within a limit of memory."""

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ResourceError
from pipeline.inferers.memory import GIB, SPARE
from pipeline.io import read_header
from pipeline.io.nifti_header import is_sheared
from pipeline.planning.intensities import FIXED
from pipeline.predict.inputs import InputCase
from pipeline.predict.model import Model
from pipeline.predict.resident import release_free_memory, resident_bytes
from pipeline.transforms.axes import ras_grid

FLOAT: Final = 4  # bytes
OWN_STATISTICS: Final = 1.5  # channels more, for the voxels that a channel's own numbers come from
TURNED: Final = (12, 36)  # bytes for each voxel of a sheared source, and of the grid it goes to


def refuse_reading(case: InputCase, limit_gib: float | None) -> None:
    """Refuse a case whose values alone don't fit, before they are read.

    Raises:
        ResourceError: They don't; the smallest limit that would do is named.
        DataError: A header can't be read.
    """
    if limit_gib is not None:
        refuse_without_room(f"to read {case.id}", values_bytes(case), limit_gib)


def values_bytes(case: InputCase) -> int:
    """At most what reading a case takes."""
    headers = [read_header(image, series=case.series) for image in case.images]
    return sum(
        prod(header.shape) * header.channels * max(FLOAT, np.dtype(header.dtype).itemsize)
        for header in headers
    )


def prepared_bytes(shape: Sequence[int], affine: NDArray[Any], model: Model) -> int:
    """What the way from a case's values to a model's input takes beside the values.

    Args:
        shape: Of the image, `(C, *S)`.
        affine: Of a volume, index to RAS mm.
        model: With its plan.
    """
    channels, sizes = shape[0], shape[1:]
    wider = max(channels, len(model.facts["modality"]), len(model.plan["window"] or ()))
    copies = float(channels + wider)  # on the grid, and scaled
    if model.plan["normalisation"] not in FIXED:
        copies += OWN_STATISTICS
    if len(sizes) == 2:
        return round(prod(sizes) * FLOAT * copies)
    grid = ras_grid(affine, sizes, model.plan["spacing"])
    voxels = prod(grid.shape)
    turning = 0
    if is_sheared(affine):
        source, target = TURNED
        turning = channels * (source * prod(sizes) + target * voxels)
    return max(turning, round(voxels * FLOAT * copies))


def refuse_preparing(
    case: str, shape: Sequence[int], affine: NDArray[Any], model: Model, limit_gib: float | None
) -> None:
    """Refuse a case that can't be brought to a model's grid within the limit.

    Raises:
        ResourceError: As said; the smallest limit that would do is named.
    """
    if limit_gib is not None:
        needed = prepared_bytes(shape, affine, model)
        refuse_without_room(f"to bring {case} to the network's grid", needed, limit_gib)


def refuse_without_room(what: str, needed: int, limit_gib: float) -> None:
    """Refuse what would take the process beyond the limit.

    Args:
        what: For which there is no room, as `to read CASE`.
        needed: Bytes beside those that the process has.
        limit_gib: Of the process.

    Raises:
        ResourceError: There is no room.
    """
    if has_room(needed, limit_gib):
        return
    held = resident_bytes()
    least = (held + needed) / (1 - SPARE) / GIB
    raise ResourceError(
        f"{limit_gib:.2f} GiB are too few {what}: {held / GIB:.2f} held, {needed / GIB:.2f} more",
        hint=f"give --max-ram {least + 0.05:.1f}",
    )


def has_room(needed: int, limit_gib: float) -> bool:
    """Whether so many bytes more stay within the limit."""
    bar = limit_gib * GIB * (1 - SPARE)
    if resident_bytes() + needed > bar:
        release_free_memory()  # blocks that the heap keeps count as taken
    return resident_bytes() + needed <= bar
