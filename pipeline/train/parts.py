"""Small builders for the configs: the network on its device, the prepared cases, the loader."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import DataLoader
from monai.transforms import Compose
from torch import nn
from torch.utils.data import Dataset

from pipeline.bundles.guard import plain
from pipeline.train.dataset import PreparedDataset
from pipeline.train.distributed import wrap
from pipeline.train.sampling import EpochSampler


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to its device, wrapped where several processes train it."""
    if device.type == "cuda":
        torch.cuda.set_device(device)  # for whatever allocates without naming a device
    return wrap(network.to(device), device)


def handler(item: Any) -> Any:
    """Return a handler that has a name elsewhere in the config.

    MONAI's `check_properties` takes each entry of `train::handlers` for a component, and fails
    at a mere reference.
    """
    return item


@plain
def prepared(
    data: Sequence[Mapping[str, Any]],
    transform: Compose,
    cache_gb: float | None = None,
    key: Any = None,
) -> PreparedDataset:
    """Prepare cases, as `PreparedDataset`; a bad case ends the program in one line."""
    return PreparedDataset(data, transform, cache_gb, key)


def loader(
    dataset: Dataset[Any],
    batch_size: int = 1,
    sampler: EpochSampler | None = None,
    num_workers: int | None = None,
    device: torch.device | None = None,
) -> DataLoader:
    """Return MONAI's loader: workers as given or as fits the device.

    Memory is pinned where a GPU trains: there the copy goes on beside the update.

    Args:
        dataset: The cases.
        batch_size: Cases per batch.
        sampler: Order of the cases; None: as they are.
        num_workers: None: 0 on a CPU, whose cores the network needs; 4 beside a GPU, or fewer.
        device: Where the network is.
    """
    training = device is not None and device.type == "cuda" and sampler is not None
    workers = num_workers
    if workers is None:
        workers = min(4, max(0, _cores() - 1)) if training else 0
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        pin_memory=training,
        persistent_workers=False,
    )


def _cores() -> int:
    """Cores that this process may use, of those that it shares with others of its machine."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (allowed or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
