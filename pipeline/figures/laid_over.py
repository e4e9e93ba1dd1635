"""A mask from a file, laid over the scan that it belongs to."""

import json
from pathlib import Path

import numpy as np

from pipeline.errors import DataError, GeometryError
from pipeline.figures.overlay import overlay
from pipeline.io import Volume, corner_distance, read_label
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS

WHITE = 255
LARGEST_JSON = 2**24  # bytes; a CASE.json has a few thousand


def lay_over(
    volume: Volume, mask: Path, output: Path, *, reference: Path | None = None, title: str = ""
) -> Path:
    """Draw a mask in colour over its scan, below the reference if there is one.

    Classes are called as the `CASE.json` beside the mask says, else by their integers.

    Args:
        volume: The scan or picture.
        mask: Integers on its grid, or regions in a fourth axis.
        output: A PNG.
        reference: The same by another hand.
        title: One line above.

    Raises:
        DataError: A mask can't be read.
        GeometryError: A mask lies on another grid than the scan.
    """
    drawn = _on_grid(volume, mask)
    known = None if reference is None else _on_grid(volume, reference)
    found = {int(n) for n in np.unique(drawn.array) if n}
    names = _names(mask)
    if drawn.array.ndim > volume.spatial_dims:  # regions: the channels in their order
        names = names or {str(n): n for n in range(1, drawn.array.shape[-1] + 1)}
    elif len(names) == 1 and found == {WHITE}:  # the only class of a picture is stored as white
        names = dict.fromkeys(names, WHITE)
    names = names or {str(n): n for n in sorted(found)}
    return overlay(
        volume.array,
        None if known is None else known.array,
        drawn.array,
        names,
        output,
        affine=volume.affine,
        title=title or None,
    )


def _on_grid(volume: Volume, path: Path) -> Volume:
    """Read a mask; refuse one of another grid."""
    mask = read_label(path)
    if mask.shape != volume.shape or (mask.affine is None) != (volume.affine is None):
        raise GeometryError(
            f"{path}: size {mask.shape}, the scan has {volume.shape}",
            hint="give the mask that was made of this scan",
        )
    if mask.affine is not None and volume.affine is not None:
        apart = corner_distance(mask.affine, volume.affine, volume.shape)
        if apart > GRID_TOLERANCE_VOXELS:
            raise GeometryError(
                f"{path}: {apart:.2f} voxels away from the scan at a corner",
                hint="give the mask that was made of this scan",
            )
    return mask


def _names(mask: Path) -> dict[str, int]:
    """Classes and integers of the `CASE.json` beside a mask; none without one."""
    path = mask.with_name(mask.name.split(".nii")[0].removesuffix(".png") + ".json")
    if not path.is_file() or path.stat().st_size > LARGEST_JSON:
        return {}
    try:
        labels = json.loads(path.read_text()).get("labels", {})
        return {str(name): int(value) for name, value in labels.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no CASE.json: {error}", hint="move it away") from error
