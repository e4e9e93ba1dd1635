"""What every file becomes once it is read: an array with its place in the world."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Return mm per voxel along i, j, k: the lengths of the first three columns of `affine`."""
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return i, j, k


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A scan or a label map `(i, j, k[, C])` in RAS mm, or a picture `(rows, columns[, C])`.

    Args:
        array: Values after the file's own rescale; HU for CT.
        affine: Index to RAS mm, 4 x 4; None for a picture, which has no place in the world.
        modality: "CT", "MR", ... where the file says it.
        warnings: What was unusual, one line each; the reader is right about the values.
        facts: What else the file says that matters to values: `hu`, `units`,
            `padding_value`; nothing that names a patient.
    """

    array: npt.NDArray[np.generic]
    affine: Affine | None
    modality: str | None = None
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def spatial_dims(self) -> int:
        """3 for a volume, 2 for a picture."""
        return 2 if self.affine is None else 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the spatial axes, without channels."""
        return self.array.shape[: self.spatial_dims]

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Mm per voxel along i, j, k; None for a picture."""
        return None if self.affine is None else spacing_of(self.affine)


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What a file says of itself before its values are read.

    Args:
        shape: Sizes of the spatial axes, in the order of `Volume.array`.
        spacing: Mm per voxel in that order; None for a picture.
        channels: 1, or the size of the last axis.
        dtype: Name of the stored type; after a rescale the values may need another.
        affine: As in `Volume`.
        modality: As in `Volume`.
        hu: Whether the values of a CT are HU as far as its file says; None: it says nothing.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, float, float] | None
    channels: int
    dtype: str
    affine: Affine | None = None
    modality: str | None = None
    hu: bool | None = None
