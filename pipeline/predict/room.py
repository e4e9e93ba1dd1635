"""Whether the steps around the network have room within a limit of memory."""

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError, ResourceError
from pipeline.inferers.memory import GIB, SPARE, limit_hint
from pipeline.io import kind_of, read_header
from pipeline.io.nifti_header import is_sheared
from pipeline.planning.intensities import FIXED
from pipeline.predict.inputs import InputCase
from pipeline.predict.model import Model
from pipeline.predict.resident import release_free_memory, resident_bytes
from pipeline.transforms.axes import permuted, ras_grid, to_ras, upright_grid

FLOAT: Final = 4  # bytes
SMALL: Final = ("uint8", "int8", "int16")
OWN_STATISTICS: Final = 1.5  # channels more, for the voxels that a channel's own numbers come from
TURNED: Final = (12, 40)  # bytes for each voxel of a sheared source, and of the grid it goes to


def refuse_reading(case: InputCase, limit_gib: float | None) -> None:
    """Refuse a case whose values alone don't fit, before they are read.

    Raises:
        ResourceError: They don't; the smallest limit that would do is named.
    """
    if limit_gib is None:
        return
    try:
        needed = values_bytes(case)
    except PipelineError:  # what is wrong with a header is the reader's to tell
        return
    refuse_without_room(f"to read {case.id}", needed, limit_gib)


def values_bytes(case: InputCase) -> int:
    """At most what reading a case takes.

    Small integers stay what they are, beside one copy. All else may become float32 on its way,
    and the padding of DICOM is looked for by maps of its voxels.

    Raises:
        PipelineError: A header can't be read.
    """
    needed = 0
    for image in case.images:
        header = read_header(image, series=case.series, reading=case.reading)
        size = np.dtype(header.dtype).itemsize
        plain = header.dtype in SMALL and kind_of(image) != "dicom" and len(case.images) == 1
        needed += prod(header.shape) * header.channels * (2 * size if plain else size + 2 * FLOAT)
    return needed


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
    if model.plan.get("polarity"):
        copies += channels
    if model.plan.get("contrast"):
        copies += 3 * wider
    if len(sizes) == 2:
        return round(prod(sizes) * FLOAT * copies)
    spacing = model.plan["spacing"]
    if not is_sheared(affine):
        return round(prod(ras_grid(affine, sizes, spacing).shape) * FLOAT * copies)
    axes, _, oriented = to_ras(affine, sizes)
    voxels = prod(upright_grid(oriented, permuted(sizes, axes), spacing, across=axes[2])[1])
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
        hint=limit_hint(least, "at least "),  # the windows come on top
    )


def has_room(needed: int, limit_gib: float) -> bool:
    """Whether so many bytes more stay within the limit."""
    bar = limit_gib * GIB * (1 - SPARE)
    if resident_bytes() + needed > bar:
        release_free_memory()  # blocks that the heap keeps count as taken
    return resident_bytes() + needed <= bar
