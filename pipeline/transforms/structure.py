"""One structure out of a label map, as a mask of its own that is saved in its place."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from pipeline.io import write_nifti, write_picture


class ExtractStructured(MapTransform):
    """Make of label maps `(1, *S)` the mask of one structure: uint8, 1 where it is.

    Args:
        keys: Keys of integer label maps.
        values: The structure's integers; several are united, as a tumour and its necrosis.
        allow_missing_keys: Skip keys that a case does not have.
    """

    def __init__(
        self, keys: KeysCollection, values: Sequence[int], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.values = tuple(int(v) for v in values)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with the structure's mask."""
        case = dict(data)
        for key in self.key_iterator(case):
            label = case[key]
            chosen = torch.tensor(self.values, dtype=torch.int64, device=label.device)
            mask = torch.isin(torch.as_tensor(label).long(), chosen).to(torch.uint8)
            case[key] = MetaTensor(mask, meta=label.meta) if isinstance(label, MetaTensor) else mask
        return case


class SaveMaskd(MapTransform):
    """Write integer maps `(1, *S)` to `FOLDER/CASE.nii.gz` with their affine, pictures as PNG.

    MONAI's `SaveImaged` brings a map back to the grid it was read from, linearly unless told
    otherwise, and turns float32 by default; here the grid, the affine (index to RAS mm) and the
    integers are written as they are, the file whole or not at all. The case passes unchanged.

    Args:
        keys: Keys of integer maps.
        folder: Where they go; made where it is missing.
        case_key: Key of the case's id, which names the file.
        suffix: Put behind the id, as `_tumour`.
        allow_missing_keys: Skip keys that a case does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        folder: str | Path,
        case_key: str = "case",
        suffix: str = "",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.folder, self.case_key, self.suffix = Path(folder), case_key, suffix

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case after its maps are written."""
        case = dict(data)
        for key in self.key_iterator(case):
            values = np.asarray(torch.as_tensor(case[key]).cpu())[0]
            stem = self.folder / f"{case[self.case_key]}{self.suffix}"
            self.folder.mkdir(parents=True, exist_ok=True)
            if values.ndim == 2:
                write_picture(f"{stem}.png", values)
            else:
                affine = np.asarray(case[key].affine, dtype=np.float64)
                write_nifti(f"{stem}.nii.gz", values, affine)
        return case
