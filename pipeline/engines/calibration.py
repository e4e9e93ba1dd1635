"""Calibration windows for int8: a few prepared windows of training cases, kept with the run.

They hold voxels alone, no name and no header. What `unetworks export --calibrate` prepared for a
model that keeps none lies in the cache, under the weights' hash.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.errors import DataError
from pipeline.io import atomic_path
from pipeline.settings import cache_dir

FILE: Final = "calibration.safetensors"
LIMIT_BYTES: Final = 32 * 2**20


def affordable(number: int, shape: Sequence[int]) -> int:
    """How many of `number` windows of a shape may be kept: at least one, at most 32 MiB."""
    size = 2 * torch.Size(shape).numel()
    return min(number, max(1, LIMIT_BYTES // size))


def distinct(windows: Sequence[Tensor]) -> list[Tensor]:
    """Windows without those that came before: a small case is the same window each time."""
    found: list[Tensor] = []
    for window in windows:
        if not any(torch.equal(window, other) for other in found):
            found.append(window)
    return found


def write_calibration(windows: Sequence[Tensor], path: Path) -> None:
    """Write windows `(C, *patch)` in half precision, by one rename."""
    largest = torch.finfo(torch.float16).max
    stacked = torch.stack([w.float().clamp(-largest, largest).half() for w in windows])
    with atomic_path(path) as temporary:
        save_file({"windows": stacked}, temporary)


def read_calibration(path: Path) -> list[Tensor]:
    """Windows `(C, *patch)`, fp32.

    Raises:
        DataError: The file is damaged.
    """
    try:
        return list(load_file(path)["windows"].float())
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise DataError(
            f"{path} is damaged: {error}", hint="copy it again, or remove it"
        ) from error


def find_calibration(folder: Path | None, digest: str, shape: Sequence[int]) -> list[Tensor]:
    """The windows kept beside a model, else those in the cache; none of another shape.

    Args:
        folder: The model's; None: it has none.
        digest: SHA-256 of its weights.
        shape: `(C, *patch)`.

    Raises:
        DataError: A file is damaged.
    """
    beside = [] if folder is None else [folder / FILE]
    for path in (*beside, cached_path(digest)):
        if path.is_file():
            windows = read_calibration(path)
            if windows and tuple(windows[0].shape) == tuple(shape):
                return windows
    return []


def cached_path(digest: str) -> Path:
    """Where windows lie for weights whose run keeps none."""
    return cache_dir() / "engines" / "calibration" / f"{digest[:32]}.safetensors"
