"""The slices that hold something: a range along one axis, found in the label."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Crop, InvertibleTransform, MapTransform
from numpy.typing import NDArray


class DepthRanged(MapTransform, InvertibleTransform):
    """Keep the slices `(C, *S)` from the label's first to its last, and `margin` more.

    MONAI's `CropForegroundd` would cut the other axes too, and pad beyond the border. The affine
    moves with the cut; `inverse` puts the slices back in their place, zero where they were cut.
    A case whose label is empty stays whole. For training and validation only: a case to be
    predicted has no label to look at.

    Args:
        keys: Keys of tensors on one grid.
        label_key: The class map, above 0 where something is.
        axis: Spatial axis, from 0; 2 runs from feet to head once a volume has RAS axes.
        margin: Slices kept at both ends, as far as there are any.
        allow_missing_keys: Skip keys that a case does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_key: str = "label",
        axis: int = 2,
        margin: int = 0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.label_key, self.axis, self.margin = label_key, axis, margin
        self.crop = Crop()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with fewer slices."""
        case = dict(data)
        slices = self._slices(np.asarray(torch.as_tensor(case[self.label_key]).cpu()))
        for key in self.key_iterator(case):
            case[key] = self.crop(case[key], slices=slices)
        return case

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with all slices."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = self.crop.inverse(case[key])
        return case

    def _slices(self, label: NDArray[Any]) -> tuple[slice, ...]:
        """The cut that the label `(C, *S)` asks for."""
        start, stop = depth_range(label.max(axis=0), self.axis)
        cut = [slice(0, n) for n in label.shape[1:]]
        cut[self.axis] = slice(
            max(0, start - self.margin), min(label.shape[self.axis + 1], stop + self.margin)
        )
        return tuple(cut)


def depth_range(label: NDArray[Any], axis: int = 2) -> tuple[int, int]:
    """Return first and past-the-last index along `axis` at which `(*S)` is above 0.

    An empty label gives the whole axis.
    """
    others = tuple(a for a in range(label.ndim) if a != axis)
    held = np.flatnonzero((label > 0).any(axis=others))
    return (int(held[0]), int(held[-1]) + 1) if held.size else (0, label.shape[axis])
