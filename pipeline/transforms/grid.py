"""From a scan's own grid to the network's, and back."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Orientation, Spacing
from numpy.typing import NDArray

from pipeline.errors import GeometryError

SPACING_TOLERANCE = 1e-3  # relative; a finer difference is not worth an interpolation


class ToGridd(MapTransform):
    """Turn volumes `(C, i, j, k)` to RAS axes and resample them to `spacing`; pictures pass.

    The meta data keep `original_affine` and `spatial_shape` of the source, which `RestoreGridd`
    needs. Axes are flipped and permuted, never sheared: an oblique scan stays oblique.

    Args:
        keys: Keys of `MetaTensor`s.
        spacing: mm per voxel along R, A and S; None keeps each volume's own.
        label_keys: Keys resampled by nearest neighbour; all others linearly.
        allow_missing_keys: Skip keys that a case does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing: Sequence[float] | None = None,
        label_keys: Sequence[str] = ("label",),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.spacing = None if spacing is None else tuple(float(s) for s in spacing)
        self.label_keys = tuple(label_keys)
        self.orient = Orientation(axcodes="RAS", labels=None)  # names by the tensor's space

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case on the network's grid."""
        case = dict(data)
        for key in self.key_iterator(case):
            if case[key].ndim == 4:
                case[key] = self._volume(case[key], key in self.label_keys)
        return case

    def _volume(self, volume: MetaTensor, label: bool) -> MetaTensor:
        oriented = cast(MetaTensor, self.orient(volume))
        if self.spacing is None:
            return oriented
        own = np.linalg.norm(np.asarray(oriented.affine)[:3, :3], axis=0)
        if np.allclose(own, self.spacing, rtol=SPACING_TOLERANCE):
            return oriented
        resample = Spacing(
            pixdim=self.spacing, mode="nearest" if label else "bilinear", padding_mode="border"
        )
        resampled = cast(MetaTensor, resample(oriented.float()))
        return cast(MetaTensor, resampled.to(volume.dtype)) if label else resampled


def index_maps(
    affine: NDArray[np.float64],
    shape: Sequence[int],
    source_affine: NDArray[np.float64],
    source_shape: Sequence[int],
) -> tuple[list[int], list[NDArray[np.intp]]]:
    """For each axis of the source grid, the axis of the other grid and the nearest index there.

    An index of -1 lies outside of the other grid.

    Args:
        affine: Of the grid that holds values, index to RAS mm.
        shape: Its spatial shape.
        source_affine: Of the grid to fill.
        source_shape: Its spatial shape.

    Raises:
        GeometryError: The grids are not flips, permutations and scalings of each other.
    """
    step = np.linalg.inv(affine) @ source_affine
    axes = [int(a) for a in np.abs(step[:3, :3]).argmax(axis=0)]
    main = np.abs(step[axes, range(3)])
    rest = np.abs(step[:3, :3]).sum(axis=0) - main
    if sorted(axes) != [0, 1, 2] or bool(np.any(rest > 1e-3 * main)):
        raise GeometryError(
            "the mask's grid is turned against the scan's",
            hint="use a spacing and an orientation along the scan's own axes",
        )
    maps = []
    for source_axis, axis in enumerate(axes):
        position = step[axis, source_axis] * np.arange(source_shape[source_axis]) + step[axis, 3]
        # half a source voxel beyond the last centre still belongs to the grid's edge
        reach = max(0.5, abs(step[axis, source_axis]) / 2) + 1e-3  # of rounding
        inside = (position >= -reach) & (position <= shape[axis] - 1 + reach)
        index = np.clip(np.rint(position), 0, shape[axis] - 1).astype(np.intp)
        maps.append(np.where(inside, index, -1))
    return axes, maps


def restore_grid(
    values: NDArray[Any],
    affine: NDArray[np.float64],
    source_affine: NDArray[np.float64],
    source_shape: Sequence[int],
) -> NDArray[Any]:
    """Bring `values` `(..., i, j, k)` back to the source's grid by nearest neighbour; 0 outside.

    Raises:
        GeometryError: The grids are not flips, permutations and scalings of each other.
    """
    axes, maps = index_maps(affine, values.shape[-3:], source_affine, source_shape)
    lead = values.ndim - 3
    moved = values.transpose(*range(lead), *(lead + a for a in axes))
    for axis, index in enumerate(maps):
        if not np.array_equal(index, np.arange(moved.shape[lead + axis])):
            moved = moved.take(index, axis=lead + axis)
    restored = np.ascontiguousarray(moved)
    for axis, index in enumerate(maps):
        if (index < 0).any():
            restored[(slice(None),) * (lead + axis) + (index < 0,)] = 0
    return restored


class RestoreGridd(MapTransform):
    """Bring class maps `(C, *S)` from the network's grid back to the source's, nearest neighbour.

    Args:
        keys: Keys of integer class maps.
        image_key: Key of the image whose meta data say where they came from.
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image") -> None:
        super().__init__(keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with the maps on the source's grid."""
        case = dict(data)
        image = case[self.image_key]
        for key in self.key_iterator(case):
            values = np.asarray(torch.as_tensor(case[key]).cpu())
            if values.ndim == 4:
                values = restore_grid(
                    values,
                    np.asarray(image.affine, dtype=np.float64),
                    np.asarray(image.meta["original_affine"], dtype=np.float64),
                    [int(n) for n in image.meta["spatial_shape"]],
                )
            case[key] = torch.from_numpy(values)
        return case
