"""Where a model is trained or predicts: the device, and its memory."""

import os

import psutil
import torch
from torch import distributed

from pipeline.bundles.guard import plain
from pipeline.errors import InvalidValueError


def memory_gib(device: str | None) -> float:
    """Memory of the device that will train, in GiB; of a CPU this process's share."""
    chosen = pick_device(device)
    if chosen.type == "cuda":
        return float(torch.cuda.get_device_properties(chosen).total_memory / 2**30)
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return float(psutil.virtual_memory().total / 2**30) / sharing


def least(gib: float) -> float:
    """The smallest memory of the processes that train together: all of them need one plan."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return gib
    value = torch.tensor(gib, dtype=torch.float64)
    distributed.all_reduce(value, distributed.ReduceOp.MIN)
    return float(value)


@plain
def pick_device(device: str | torch.device | None = None) -> torch.device:
    """As `find_device`, for configs: a refusal ends the program in one line."""
    return find_device(device)


def find_device(device: str | torch.device | None = None) -> torch.device:
    """The device by name, else a GPU, else the CPU; each process of `torchrun` has its own GPU.

    Raises:
        InvalidValueError: No such device here, or one GPU for several processes.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InvalidValueError(f"device is {device!r}", hint="use cpu, cuda or cuda:0") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise InvalidValueError(f"device is {device!r}, but no GPU is there", hint="use cpu")
    return _own_gpu(chosen) if chosen.type == "cuda" else chosen


def _own_gpu(device: torch.device) -> torch.device:
    """The GPU that is meant, with its index."""
    count, world = torch.cuda.device_count(), int(os.environ.get("WORLD_SIZE", "1"))
    if device.index is None:  # a cluster may show each process its own GPU alone
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % count)
    if world > 1:
        raise InvalidValueError(
            f"device is '{device}' for {world} processes", hint="use cuda: each takes its own GPU"
        )
    if device.index >= count:
        names = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise InvalidValueError(f"device is '{device}', but the GPUs are {names}", hint="use cuda")
    return device
