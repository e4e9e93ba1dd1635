"""From a scan's own grid to the network's, and back."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, SpatialResample
from monai.utils.enums import MetaKeys
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.io.nifti_header import is_sheared
from pipeline.transforms.axes import permuted, ras_grid, to_ras, upright_grid
from pipeline.transforms.resample import linear, nearest


class ToGridd(MapTransform):
    """Turn volumes `(C, i, j, k)` to RAS axes and resample them to `spacing`; pictures pass.

    The meta data keep `original_affine` and `spatial_shape` of the source, which `RestoreGridd`
    needs. Axes are flipped and permuted: an oblique scan stays oblique. Values equal those of
    MONAI's `Orientation` and `Spacing`, but come from look-ups along each axis. Only a sheared
    scan, as of a tilted gantry, is turned: its grid is orthogonal, between its slices.

    Args:
        keys: Keys of `MetaTensor`s with an affine to RAS mm.
        spacing: mm per voxel along R, A and S; None keeps each volume's own.
        label_keys: Keys resampled by nearest neighbour, in their type; all others linearly, in
            float32.
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

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case on the network's grid."""
        case = dict(data)
        for key in self.key_iterator(case):
            if case[key].ndim == 4:
                case[key] = self._volume(case[key], key in self.label_keys)
        return case

    def _volume(self, volume: MetaTensor, label: bool) -> MetaTensor:
        affine = np.asarray(volume.affine, dtype=np.float64)
        if is_sheared(affine):
            return self._upright(volume, affine, label)
        grid = ras_grid(affine, volume.shape[1:], self.spacing)
        values = volume.as_tensor().cpu().numpy()
        if label:
            moved = [nearest(c, [line.nearest for line in grid.lines], grid.axes) for c in values]
        else:
            moved = [linear(channel, grid.lines, grid.axes) for channel in values]
        return _on_grid(volume, np.stack(moved) if len(moved) > 1 else moved[0][None], grid.affine)

    def _upright(self, volume: MetaTensor, affine: NDArray[np.float64], label: bool) -> MetaTensor:
        """Return a sheared volume on the orthogonal grid over its slices."""
        axes, _, oriented = to_ras(affine, volume.shape[1:])
        sizes = permuted(volume.shape[1:], axes)
        target, size = upright_grid(oriented, sizes, self.spacing, across=axes[2])
        resample = SpatialResample(mode="nearest" if label else "bilinear", padding_mode="border")
        source = MetaTensor(volume.as_tensor().float().contiguous(), affine=torch.as_tensor(affine))
        moved = resample(source, dst_affine=torch.as_tensor(target), spatial_size=size)
        values = torch.as_tensor(moved).to(volume.dtype if label else torch.float32)
        return _on_grid(volume, np.asarray(values.cpu()), target)


def _on_grid(source: MetaTensor, values: NDArray[Any], affine: NDArray[np.float64]) -> MetaTensor:
    """Return values as a tensor where the source is, with its meta data and another affine."""
    tensor = torch.from_numpy(values).to(source.device)
    meta = {key: value for key, value in source.meta.items() if key != MetaKeys.AFFINE}
    return MetaTensor(tensor, affine=torch.as_tensor(affine), meta=meta)


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
        GeometryError: The grids are not flips, permutations and scalings of each other; those of
            a sheared source are not, and `restore_grid` alone can bring values back to it.
    """
    step = np.linalg.inv(affine) @ source_affine
    axes = [int(a) for a in np.abs(step[:3, :3]).argmax(axis=0)]
    if sorted(axes) != [0, 1, 2] or not all(_along(step, s, a) for s, a in enumerate(axes)):
        raise _turned()
    maps = []
    for source_axis, axis in enumerate(axes):
        own = step[axis, source_axis]
        position = own * np.arange(source_shape[source_axis]) + step[axis, 3]
        maps.append(_nearest(position, own, shape[axis]))
    return axes, maps


def restore_grid(
    values: NDArray[Any],
    affine: NDArray[np.float64],
    source_affine: NDArray[np.float64],
    source_shape: Sequence[int],
) -> NDArray[Any]:
    """Bring `values` `(..., i, j, k)` back to the source's grid by nearest neighbour; 0 outside.

    The source may be sheared along one axis, as the slices of a tilted gantry are: each slice is
    then looked up at its own place. The last axes lie in Fortran's order, as files want them.

    Raises:
        GeometryError: The grids are turned against each other.
    """
    step = np.linalg.inv(affine) @ source_affine
    across, axes = _slices(step)
    rows, columns = (axis for axis in (2, 1, 0) if axis != across)
    # look-ups then run along the memory, a slice after the other
    order = (axes[across], axes[rows], axes[columns])
    flat = values.reshape(-1, *values.shape[-3:])
    stack = np.ascontiguousarray(flat.transpose(0, *(axis + 1 for axis in order)))
    restored = np.zeros((len(stack), *reversed(source_shape)), values.dtype)
    target = restored.transpose(0, 3 - across, 3 - rows, 3 - columns)
    for n in range(source_shape[across]):
        place = step[:3, across] * n + step[:3, 3]
        index, height, width = (
            _nearest(
                place[grid] + step[grid, axis] * np.arange(source_shape[axis] if inside else 1),
                step[grid, axis],
                stack.shape[1 + number],
            )
            for number, (grid, axis, inside) in enumerate(
                zip(order, (across, rows, columns), (False, True, True), strict=True)
            )
        )
        if index[0] >= 0:
            planes = stack[:, index[0]].take(height, axis=1).take(width, axis=2)
            planes[:, height < 0] = 0
            planes[:, :, width < 0] = 0
            target[:, n] = planes
    return restored.reshape(*values.shape[:-3], *reversed(source_shape)).swapaxes(-1, -3)


def _slices(step: NDArray[np.float64]) -> tuple[int, tuple[int, int, int]]:
    """The source's axis from slice to slice, and for each of its axes the one of the other grid.

    Args:
        step: Source's index to the other grid's, 4 x 4.

    Raises:
        GeometryError: There is no axis whose slices lie along two axes of the other grid.
    """
    nearest_axes = [int(a) for a in np.abs(step[:3, :3]).argmax(axis=0)]
    for across in (2, 1, 0):
        within = [axis for axis in range(3) if axis != across]
        axes = [nearest_axes[axis] for axis in within]
        if axes[0] != axes[1] and all(
            _along(step, s, a) for s, a in zip(within, axes, strict=True)
        ):
            axes.insert(across, 3 - sum(axes))
            return across, (axes[0], axes[1], axes[2])
    raise _turned()


def _along(step: NDArray[np.float64], source_axis: int, axis: int) -> bool:
    """Whether a source's axis runs along `axis` of the other grid alone."""
    column = np.abs(step[:3, source_axis])
    return bool(column.sum() - column[axis] <= 1e-3 * column[axis])


def _nearest(position: NDArray[np.float64], step: float, size: int) -> NDArray[np.intp]:
    """Nearest indices of positions on an axis of `size` voxels; -1 outside."""
    # half a source voxel beyond the last centre still belongs to the grid's edge
    reach = max(0.5, abs(step) / 2) + 1e-3  # of rounding
    inside = (position >= -reach) & (position <= size - 1 + reach)
    index = np.clip(np.rint(position), 0, size - 1).astype(np.intp)
    return np.where(inside, index, -1)


def _turned() -> GeometryError:
    return GeometryError(
        "the mask's grid is turned against the scan's",
        hint="use a spacing and an orientation along the scan's own axes",
    )


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
