"""Training patches: padded volumes, and crops that see rare classes often."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from numpy.typing import NDArray

INDICES_PER_CLASS = 20_000


class PadToPatchd(MapTransform):
    """Pad tensors `(C, *S)` at the upper ends to at least `patch`, repeating the edge.

    Image and label are padded alike, so that a structure cut by the border stays whole.

    Args:
        keys: Keys of tensors.
        patch: Smallest size per axis in voxels; for a 2D network on volumes without the slice
            axis.
        slice_axis: Axis that a 2D network walks along; it is not padded.
        border: Voxels that the network loses per axis; the rest of the patch must fit.
    """

    def __init__(
        self,
        keys: KeysCollection,
        patch: Sequence[int],
        slice_axis: int | None = None,
        border: int = 0,
    ) -> None:
        super().__init__(keys)
        self.patch = with_slice([n - border for n in patch], slice_axis)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with padded tensors."""
        case = dict(data)
        for key in self.key_iterator(case):
            for axis, wanted in enumerate(self.patch, start=1):
                size = case[key].shape[axis]
                if size < wanted:
                    index = torch.arange(wanted).clamp_max(size - 1)
                    case[key] = torch.as_tensor(case[key]).index_select(axis, index)
        return case


def with_slice(patch: Sequence[int], slice_axis: int | None) -> list[int]:
    """The patch in the volume's axes: one voxel thick along the slice axis, if there is one."""
    full = [int(n) for n in patch]
    if slice_axis is not None:
        full.insert(slice_axis, 1)
    return full


class ClassIndicesd(MapTransform):
    """Store where each foreground class lies, for `BalancedCropd`.

    Adds `indices`: for each class an int64 array of at most 20,000 flat voxel indices, evenly
    spread over the class.

    Args:
        keys: The key of the class map `(1, *S)` or of the regions `(K, *S)`.
        classes: Number of foreground classes.
        head: `softmax` or `sigmoid`.
    """

    def __init__(self, keys: KeysCollection, classes: int, head: str = "softmax") -> None:
        super().__init__(keys)
        self.classes, self.head = classes, head

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with `indices`."""
        case = dict(data)
        for key in self.key_iterator(case):
            label = np.asarray(torch.as_tensor(case[key]))
            case["indices"] = [self._indices(label, index) for index in range(self.classes)]
        return case

    def _indices(self, label: NDArray[Any], index: int) -> NDArray[np.int64]:
        mask = label[index] if self.head == "sigmoid" else label[0] == index + 1
        found = np.flatnonzero(mask)
        return found[:: max(1, -(-found.size // INDICES_PER_CLASS))]


class BalancedCropd(RandomizableTransform, MapTransform):
    """Cut a patch `(C, *patch)`, centred on a class drawn by `sampling`; the indices are dropped.

    MONAI's crop by label classes knows no overlapping regions, has no "anywhere" and reads the
    whole label; this one touches the patch's voxels alone, so a memory-mapped case stays on disk.

    For a network that loses a border, what is drawn is the place of its logits; around them the
    patch goes on beyond the volume as in a mirror.

    A 2D network may see adjacent slices (2.5D): those of the first key become its channels, each
    channel's slices together; the end of the volume repeats its last one.

    Args:
        keys: Keys of tensors `(C, *S)` on one grid, at least as large as the patch without border.
        patch: Size in voxels; for a 2D network on volumes without the slice axis.
        sampling: Probability of a place anywhere, then of each foreground class.
        slice_axis: Axis that a 2D network walks along: one slice is cut and the axis dropped.
        border: Voxels that the network loses per axis, half on each side.
        slices: Adjacent slices of the first key, an odd number.
    """

    def __init__(
        self,
        keys: KeysCollection,
        patch: Sequence[int],
        sampling: Sequence[float],
        slice_axis: int | None = None,
        border: int = 0,
        slices: int = 1,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.patch = with_slice([n - border for n in patch], slice_axis)
        self.border = border
        self.sampling = np.asarray(sampling, np.float64)
        self.slice_axis = slice_axis
        self.slices = slices

    def randomize(self, data: Mapping[Hashable, Any]) -> list[int]:  # type: ignore[override]
        """Draw the first voxel of the patch, without the border."""
        shape = data[self.keys[0]].shape[1:]
        indices = data["indices"]
        weights = self.sampling * [1, *(len(i) > 0 for i in indices)]
        chosen = 0
        if weights.sum() > 0:
            chosen = int(self.R.choice(len(weights), p=weights / weights.sum()))
        room = [n - p for n, p in zip(shape, self.patch, strict=True)]
        if chosen == 0:
            return [int(self.R.randint(r + 1)) for r in room]
        flat = indices[chosen - 1][self.R.randint(len(indices[chosen - 1]))]
        centre = np.unravel_index(int(flat), tuple(shape))
        starts = [int(c) - p // 2 for c, p in zip(centre, self.patch, strict=True)]
        return [min(max(s, 0), r) for s, r in zip(starts, room, strict=True)]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the patches of all keys."""
        case = dict(data)
        start = self.randomize(case)
        case.pop("indices")
        for key in self.keys:
            around = self.slices // 2 if key == self.keys[0] else 0
            patch = self._cut(case[key], start, around)
            if self.slice_axis is not None:
                patch = patch.movedim(self.slice_axis + 1, 1).flatten(0, 1)
            case[key] = patch.clone()
        return case

    def _cut(self, volume: Any, start: Sequence[int], around: int) -> torch.Tensor:
        """Read the window from `start` on, the border around it and the slices beside it."""
        margins = [self.border // 2] * len(start)
        if self.slice_axis is not None:
            margins[self.slice_axis] = around
        spans = [(s - m, s + p + m) for s, p, m in zip(start, self.patch, margins, strict=True)]
        inside = tuple(
            slice(low, high) if low >= 0 and high <= n else slice(None)
            for (low, high), n in zip(spans, volume.shape[1:], strict=True)
        )
        patch = torch.as_tensor(volume[(slice(None), *inside)])
        for axis, ((low, high), n) in enumerate(zip(spans, volume.shape[1:], strict=True)):
            if low < 0 or high > n:
                beside = torch.arange(low, high).clamp(0, n - 1)
                index = beside if axis == self.slice_axis else mirrored(low, high, n)
                patch = patch.index_select(axis + 1, index)
        return patch


def mirrored(low: int, high: int, length: int) -> torch.Tensor:
    """Indices of the voxels `low` to `high` of an axis that goes on as in a mirror at its ends."""
    if length == 1:
        return torch.zeros(high - low, dtype=torch.int64)
    place = torch.arange(low, high).remainder(2 * (length - 1))
    return torch.minimum(place, 2 * (length - 1) - place)


class CropBorderd(MapTransform):
    """Cut `border` voxels off each axis of `(C, *S)`, half at each end: what the logits show.

    Args:
        keys: Keys of tensors.
        border: An even number; 0 leaves them alone.
    """

    def __init__(self, keys: KeysCollection, border: int) -> None:
        super().__init__(keys)
        self.half = border // 2

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with smaller tensors."""
        case = dict(data)
        for key in self.key_iterator(case) if self.half else ():
            inner = [slice(self.half, n - self.half) for n in case[key].shape[1:]]
            case[key] = case[key][(slice(None), *inner)]
        return case
