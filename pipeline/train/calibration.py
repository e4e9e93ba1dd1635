"""Calibration windows drawn from the training cases at a run's end."""

import copy
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.engines.calibration import FILE, affordable, distinct, write_calibration
from pipeline.train.dataset import Item, PreparedDataset, load_item
from pipeline.transforms.patches import BalancedCropd


def keep_calibration(dataset: PreparedDataset, number: int, folder: Path) -> int:
    """Write a few windows of training cases beside the weights, for int8.

    They are cut as the training's patches are, structures in them, but not changed otherwise. Of
    cases no larger than a window there is one each.

    Args:
        dataset: The training cases.
        number: Windows; 0 for none. Large ones are fewer: 32 MiB in all.
        folder: Of the weights.

    Returns:
        How many were written.
    """
    crop = next((t for t in dataset.random.transforms if isinstance(t, BalancedCropd)), None)
    if number < 1 or crop is None or not dataset.items:
        return 0
    crop = copy.deepcopy(crop)
    crop.set_random_state(seed=0)
    windows: list[Tensor] = []
    for index in range(number):
        item = dataset.items[index % len(dataset.items)]
        loaded: Item = load_item(item) if isinstance(item, Path) else item
        case: dict[Hashable, Any] = dict(loaded.items())
        windows.append(crop(case)["image"].half())
        if len(windows) >= affordable(number, windows[0].shape):
            break
    windows = distinct(windows)
    write_calibration(windows, folder / FILE)
    return len(windows)
