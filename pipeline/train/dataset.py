"""Cases prepared once: held in memory while they fit, memory-mapped from disk beyond that."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Randomizable
from torch.utils.data import Dataset

from pipeline.errors import GeometryError, ResourceError
from pipeline.io import file_stamps, made_folder, not_writable
from pipeline.manifests import files_of_label, label_of_row
from pipeline.progress import progress
from pipeline.settings import cache_dir

Item = dict[str, Any]
TENSORS = ("image", "label")
AFFINE_TOLERANCE_MM = 1e-2  # of the matrices' entries


class PreparedDataset(Dataset[Item]):
    """Cases after the deterministic transforms, with the random ones applied at each access.

    The transforms up to the first random one run once per case, all of them before training, so
    that a bad case is found at once. MONAI's `CacheDataset` holds everything in memory and its
    `PersistentDataset` unpickles a whole case for each patch; here a patch touches its own
    voxels alone.

    Args:
        data: MONAI's data list; `case` names each one.
        transform: A `Compose`.
        cache_gb: Memory for prepared cases in GiB; None: half of what is free now. Cases beyond
            it are written to the cache folder and memory-mapped.
        key: Whatever else the prepared cases depend on (plan, facts); names their folder.
        label: Words for the progress bar.

    Attributes:
        left_gb: Memory that was not needed, in GiB.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Compose,
        cache_gb: float | None = None,
        key: Any = None,
        label: str = "preparing the cases",
    ) -> None:
        steps = list(transform.transforms)
        first = next((i for i, t in enumerate(steps) if isinstance(t, Randomizable)), len(steps))
        self.fixed, self.random = Compose(steps[:first]), Compose(steps[first:])
        budget = _free_memory() / 2 if cache_gb is None else cache_gb * 2**30
        self.folder = cache_dir() / "prepared" / _digest(key)
        self.items: list[Item | Path] = []
        for case in progress(data, label):
            item = self._stored(case)
            if item is None:
                item = self._prepare(case)
            size = sum(item[k].nelement() * item[k].element_size() for k in TENSORS if k in item)
            if size <= budget:
                budget -= size
                self.items.append(item)
            else:
                self.items.append(self._store(case, item))
        self.left_gb = budget / 2**30

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        """Return a case after the random transforms."""
        item = self.items[index]
        loaded = load_item(item) if isinstance(item, Path) else dict(item)
        return self.random(loaded)  # type: ignore[no-any-return]

    def set_random_state(self, seed: int) -> None:
        """Seed all random transforms."""
        self.random.set_random_state(seed=seed)

    def _prepare(self, case: Mapping[str, Any]) -> Item:
        """Run the deterministic transforms and drop the meta data that training does not need."""
        item = dict(self.fixed(dict(case)))
        check_grids(item)
        for key in TENSORS:
            if key in item:
                item[key] = torch.as_tensor(np.ascontiguousarray(torch.as_tensor(item[key])))
        item.pop("series", None)
        return item

    def _place(self, case: Mapping[str, Any]) -> Path:
        return self.folder / hashlib.sha256(str(_stamp(case)).encode()).hexdigest()[:24]

    def _stored(self, case: Mapping[str, Any]) -> Item | None:
        """A case that an earlier run wrote, if its files have not changed since."""
        place = self._place(case)
        return load_item(place) if place.is_dir() else None

    def _store(self, case: Mapping[str, Any], item: Item) -> Path:
        """Write a case to the cache, safely beside another process that does the same."""
        place = self._place(case)
        if place.is_dir():
            return place
        temporary = _temporary(self.folder)
        try:
            write_item(temporary, item)
        except OSError as error:
            shutil.rmtree(temporary)
            raise ResourceError(
                f"{item.get('case')} can't be kept in {self.folder}: "
                f"{error.strerror or 'the disk is full'}",
                hint="make room, set UNETWORKS_CACHE to another disk, or raise --cache_gb",
            ) from error
        try:
            temporary.rename(place)
        except OSError:  # another process was first
            shutil.rmtree(temporary)
        return place


def _temporary(folder: Path) -> Path:
    """A hidden folder in `folder`.

    Raises:
        DataError: It can't be made.
    """
    try:
        return Path(tempfile.mkdtemp(dir=made_folder(folder), prefix="."))
    except OSError as error:
        raise not_writable(folder, error) from error


def write_item(folder: Path, item: Item) -> None:
    """Write a prepared case as files that can be memory-mapped."""
    for key in TENSORS:
        if key in item:
            np.save(folder / f"{key}.npy", item[key].numpy())
    for index, found in enumerate(item.get("indices", ())):
        np.save(folder / f"indices-{index:04}.npy", found)
    (folder / "case.json").write_text(json.dumps({"case": item.get("case")}))


def check_grids(item: Item) -> None:
    """Refuse a label on another grid than its image's.

    Raises:
        GeometryError: The shapes differ, or the affines where both are known.
    """
    image, label = item.get("image"), item.get("label")
    if image is None or label is None:
        return
    hint = "a label needs its image's grid"
    if image.shape[1:] != label.shape[1:]:
        raise GeometryError(
            f"{item.get('case')}: the label has the shape {tuple(label.shape[1:])}, the image "
            f"{tuple(image.shape[1:])}",
            hint=hint,
        )
    if isinstance(image, MetaTensor) and isinstance(label, MetaTensor):
        apart = float((image.affine - label.affine).abs().max())
        if apart > AFFINE_TOLERANCE_MM:
            raise GeometryError(
                f"{item.get('case')}: the label's affine differs from the image's by up to "
                f"{apart:.3g} mm",
                hint=hint,
            )


def load_item(place: Path) -> Item:
    """Open a stored case; its tensors are memory-mapped and stay on disk until touched."""
    item: Item = json.loads((place / "case.json").read_text())
    for key in TENSORS:
        if (place / f"{key}.npy").is_file():
            # copy-on-write: torch wants writable memory, the file stays as it is
            item[key] = torch.from_numpy(np.load(place / f"{key}.npy", mmap_mode="c"))
    indices = sorted(place.glob("indices-*.npy"))
    if indices:
        item["indices"] = [np.load(path) for path in indices]
    return item


def _free_memory() -> float:
    """Free memory in bytes, for each of the processes that `torchrun` started here."""
    return float(psutil.virtual_memory().available) / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _digest(key: Any) -> str:
    """A folder's name for what the prepared cases depend on."""
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _stamp(case: Mapping[str, Any]) -> list[Any]:
    """Paths, sizes and times of a case's files."""
    stamp: list[Any] = []
    for key in TENSORS:
        files = case.get(key, [])
        if isinstance(files, Mapping):  # a drawing, whose series is the image
            stamp.append(json.dumps(files, sort_keys=True))
            files = files_of_label(label_of_row(files))
        for file in [files] if isinstance(files, str | Path) else files:
            stamp += file_stamps(file)
    return [*stamp, case.get("series")]
