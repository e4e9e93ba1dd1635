"""From numbered objects to one class, and from classes back to numbered objects."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray
from scipy import ndimage


class ToSemanticd(MapTransform):
    """Make maps of numbered objects `(1, *S)` one class: uint8, 1 where a number is, 0 elsewhere.

    Args:
        keys: Keys of integer maps whose numbers mean objects.
        gap: Give up the voxels that touch another object, so that `ToInstancesd` finds the
            objects apart again; without it, objects that touch grow together.
        allow_missing_keys: Skip keys that a case does not have.
    """

    def __init__(
        self, keys: KeysCollection, gap: bool = False, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.gap = gap

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with class maps."""
        case = dict(data)
        for key in self.key_iterator(case):
            numbers = np.asarray(torch.as_tensor(case[key]).cpu())
            case[key] = _like(case[key], semantic(numbers[0], gap=self.gap)[np.newaxis])
        return case


class ToInstancesd(MapTransform):
    """Number the connected components of class maps `(1, *S)`: int32, 1 to N, 0 elsewhere.

    Components of different classes stay apart; numbers run by class, then along the array.

    Args:
        keys: Keys of class maps.
        min_voxels: Smaller components are dropped.
        diagonal: Voxels that share an edge or a corner only are connected too.
        allow_missing_keys: Skip keys that a case does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        min_voxels: int = 1,
        diagonal: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.min_voxels, self.diagonal = min_voxels, diagonal

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with numbered objects."""
        case = dict(data)
        for key in self.key_iterator(case):
            classes = np.asarray(torch.as_tensor(case[key]).cpu())[0]
            numbers = instances(classes, min_voxels=self.min_voxels, diagonal=self.diagonal)
            case[key] = _like(case[key], numbers[np.newaxis])
        return case


def semantic(numbers: NDArray[Any], *, gap: bool = False) -> NDArray[np.uint8]:
    """Return 1 where a number `(*S)` is; with `gap` not where a neighbour has another one."""
    inside = numbers > 0
    for axis in range(numbers.ndim) if gap else ():
        below = (slice(None),) * axis + (slice(None, -1),)
        above = (slice(None),) * axis + (slice(1, None),)
        touching = (numbers[below] != numbers[above]) & (numbers[below] > 0) & (numbers[above] > 0)
        inside[below] &= ~touching
        inside[above] &= ~touching
    return inside.astype(np.uint8)


def instances(
    classes: NDArray[Any], *, min_voxels: int = 1, diagonal: bool = False
) -> NDArray[np.int32]:
    """Number the connected components of each class of `(*S)` from 1 on; 0 is no object.

    Args:
        classes: Class indices, 0 for background.
        min_voxels: Smaller components are dropped.
        diagonal: Voxels that share an edge or a corner only are connected too.
    """
    structure = ndimage.generate_binary_structure(classes.ndim, classes.ndim if diagonal else 1)
    numbers = np.zeros(classes.shape, np.int32)
    last = 0
    for value in np.unique(classes[classes > 0]):
        found, _ = ndimage.label(classes == value, structure)
        kept = np.bincount(found.ravel()) >= min_voxels
        kept[0] = False
        table = np.where(kept, last + kept.cumsum(), 0).astype(np.int32)
        numbers += table[found]
        last += int(kept.sum())
    return numbers


def _like(label: torch.Tensor, values: NDArray[Any]) -> torch.Tensor:
    """Return values as a tensor with the meta data of `label`."""
    tensor = torch.from_numpy(values)
    return MetaTensor(tensor, meta=label.meta) if isinstance(label, MetaTensor) else tensor
