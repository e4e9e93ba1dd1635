"""A training case as arrays: its channels on one grid, and its label on the same."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, GeometryError
from pipeline.io import Volume, corner_distance, read_image, to_grid, without_padding
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS
from pipeline.manifests import Case, Label, file_of_label, load_label


def read_case(case: Case) -> tuple[Volume, NDArray[Any]]:
    """Read image and label of a case and check that they lie on one grid.

    Returns:
        The image (several files become its last axis) and the label's integers, `(i, j, k)` or
        `(rows, columns)`.

    Raises:
        DataError: A file is missing or unreadable, or the image holds values that are no numbers.
        GeometryError: Channels or label lie on another grid.
    """
    volumes = [without_padding(read_image(p, series=case.series)) for p in case.images]
    image = _stacked(case, volumes) if len(volumes) > 1 else volumes[0]
    if image.array.dtype.kind == "f" and not np.isfinite(image.array).all():
        raise DataError(
            f"{case.id}: {np.sum(~np.isfinite(image.array))} voxels of the image are no number",
            hint="give them a value, e.g. that of air",
        )
    if case.label is None:
        raise DataError(f"{case.id} has no label", hint="add it to the manifest")
    return image, _label_of(case, case.label, volumes[0])


def _stacked(case: Case, volumes: Sequence[Volume]) -> Volume:
    """Several files as channels of one image, if they share a grid."""
    first = volumes[0]
    for path, other in zip(case.images[1:], volumes[1:], strict=True):
        apart = 0.0
        if first.affine is not None and other.affine is not None:
            apart = corner_distance(first.affine, other.affine, first.shape)
        if other.shape != first.shape or apart > GRID_TOLERANCE_VOXELS:
            raise GeometryError(
                f"{case.id}: {path.name} of {other.shape} voxels lies {apart:.2g} voxels from the "
                f"first channel of {first.shape}",
                hint="resample the channels of a case to one grid first",
            )
    return replace(first, array=np.stack([v.array for v in volumes], axis=-1))


def _label_of(case: Case, source: Label, image: Volume) -> NDArray[Any]:
    """The label's integers on the image's grid; other axis codes over the same box are turned."""
    label, path = load_label(source), file_of_label(source)
    if image.affine is not None:
        try:
            return to_grid(label, image.affine, image.shape).array
        except GeometryError as error:
            raise GeometryError(f"{case.id}: {path.name}: {error}", hint=error.hint) from None
    if label.shape != image.shape:
        raise GeometryError(
            f"{case.id}: {path.name} has the size {label.shape}, the image {image.shape}",
            hint="a label needs its image's size",
        )
    return label.array
