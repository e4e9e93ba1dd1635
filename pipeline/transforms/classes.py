"""From the integers of a label file to the classes of a head, and back."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.manifests import without_white

logger = logging.getLogger("unetworks")


class ToClassesd(MapTransform):
    """Map label files' integers `(1, *S)` to class indices, or to one map per region.

    Args:
        keys: Keys of integer label tensors `(1, *S)`.
        values: For each foreground class its integers in the file.
        known: Further integers that a file may hold; they count as background.
        head: `softmax`: `(1, *S)` uint8 with 0 for background and 1..K; `sigmoid`: `(K, *S)`
            uint8 with one map per region, which may overlap. A picture's mask of 0 and 255 is
            taken for the only class of a set that has one; a line of the log says so once.
        case_key: Key of the case's id, for messages.
        allow_missing_keys: Skip keys that a case does not have.

    Raises:
        DataError: At the call, for an integer that no class and no background has.
    """

    def __init__(
        self,
        keys: KeysCollection,
        values: Sequence[Sequence[int]],
        head: str = "softmax",
        case_key: str = "case",
        allow_missing_keys: bool = False,
        known: Sequence[int] = (),
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.values = tuple(tuple(int(v) for v in group) for group in values)
        self.known = tuple(int(v) for v in known)
        self.head, self.case_key = head, case_key
        self._told = False

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with class maps."""
        case = dict(data)
        for key in self.key_iterator(case):
            label = case[key]
            plain = np.asarray(torch.as_tensor(label).cpu()).astype(np.int64)
            if plain.ndim == 3:
                plain = self._without_white(plain[0], case)[None]
            stray = np.setdiff1d(np.unique(plain), [0, *self.known, *sum(self.values, ())])
            if len(stray):
                raise DataError(
                    f"{case.get(self.case_key, key)}: the label holds {stray[:5].tolist()}, "
                    f"declared are {[list(v) for v in self.values]}",
                    hint="declare them in the manifest, or mend the label",
                )
            mapped = torch.from_numpy(to_classes(plain, self.values, self.head))
            if isinstance(label, MetaTensor):
                mapped = MetaTensor(mapped, meta=label.meta)
            case[key] = mapped
        return case

    def _without_white(
        self, mask: NDArray[np.int64], case: Mapping[Hashable, Any]
    ) -> NDArray[np.int64]:
        """A picture's mask in declared integers."""
        plain = without_white(mask, self.values)
        if plain is not mask and not self._told:
            self._told = True
            logger.warning(
                "warning: masks of 0 and 255 (%s is the first): "
                "255 is taken for the only class, %d",
                case.get(self.case_key),
                self.values[0][0],
            )
        return plain


def to_classes(
    label: NDArray[np.int64], values: Sequence[Sequence[int]], head: str
) -> NDArray[np.uint8]:
    """Map integers `(1, *S)` to class indices `(1, *S)`, or to regions `(K, *S)` for sigmoid."""
    if head == "sigmoid":
        return np.concatenate([np.isin(label, group) for group in values]).astype(np.uint8)
    highest = max(int(label.max(initial=0)), *(max(group) for group in values))
    table = np.zeros(highest + 1, np.uint8)
    for index, group in enumerate(values, start=1):
        table[list(group)] = index
    return table[label]


def to_integers(classes: NDArray[Any], values: Sequence[Sequence[int]], head: str) -> NDArray[Any]:
    """Map class indices `(1, *S)` to the file's integers `(*S)`, regions `(K, *S)` to `(*S, K)`.

    A single region is a label like any other: `(*S)`.
    """
    if head == "sigmoid" and len(values) > 1:
        return np.moveaxis(classes, 0, -1).astype(np.uint8)
    # with one region its map is the index of its class
    integers = np.array([0, *(group[0] for group in values)])
    table = integers.astype(np.uint8 if integers.max() < 256 else np.uint16)
    return np.asarray(table[classes[0]])


class ToDecisiond(MapTransform):
    """Turn logits `(K, *S)` into class maps uint8: argmax `(1, *S)`, or logit above 0 `(K, *S)`.

    Args:
        keys: Keys of logits.
        head: `softmax` or `sigmoid`.
    """

    def __init__(self, keys: KeysCollection, head: str = "softmax") -> None:
        super().__init__(keys)
        self.head = head

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with decisions."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = decide(torch.as_tensor(case[key]), self.head)
        return case


def decide(logits: torch.Tensor, head: str) -> torch.Tensor:
    """Logits `(K, *S)` to uint8 classes `(1, *S)` by argmax, or to regions `(K, *S)` by sign."""
    if head == "sigmoid":
        return (logits > 0).to(torch.uint8)
    return logits.argmax(dim=0, keepdim=True).to(torch.uint8)
