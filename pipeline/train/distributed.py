"""Several processes under `torchrun`: who is who, and what they agree on."""

import os
import sys
import traceback
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn

Value = TypeVar("Value")
# the first process may check or score a large data set while the others wait
PATIENCE = timedelta(hours=12)


def rank_and_world() -> tuple[int, int]:
    """Return this process's rank and the number of processes; joins the group on first use."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not distributed.is_initialized():
        _join()
    return (distributed.get_rank(), world) if world > 1 else (0, 1)


def _join() -> None:
    """Join the group: what lies in memory goes over gloo, beside GPUs as well."""
    if "SLURM_JOB_ID" in os.environ and "LOCAL_RANK" in os.environ:
        # within an allocation ignite takes SLURM's word, and that is of torchrun, not of us
        os.environ["SLURM_LOCALID"] = os.environ["LOCAL_RANK"]
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)


def leads() -> bool:
    """Whether this process writes files: the first one does."""
    return rank_and_world()[0] == 0


def agreed(value: Value) -> Value:
    """Return the first process's value in every process."""
    if rank_and_world()[1] == 1:
        return value
    box: list[Any] = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[no-any-return]


def gathered(value: Value) -> list[Value]:
    """Return the values of all processes, in their order."""
    world = rank_and_world()[1]
    if world == 1:
        return [value]
    values: list[Any] = [None] * world
    distributed.all_gather_object(values, value)
    return values


def everywhere(holds: bool) -> bool:
    """Whether something holds in every process."""
    if rank_and_world()[1] == 1:
        return holds
    flag = torch.tensor(int(holds))
    distributed.all_reduce(flag, distributed.ReduceOp.MIN)
    return bool(flag)


def wrap(network: nn.Module, device: torch.device) -> nn.Module:
    """Wrap a network for gradient averaging where several processes train it."""
    if rank_and_world()[1] == 1:
        return network
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    devices = [device] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(network, device_ids=devices)


def share_buffers(network: nn.Module) -> None:
    """Give every process the first one's norm statistics, so that all validate one network."""
    if rank_and_world()[1] > 1:
        for buffer in network.buffers():
            distributed.broadcast(buffer, src=0)


def abandon(error: BaseException) -> None:
    """End a process that failed while others wait for it; alone it does nothing.

    The usual end would wait as well: taking the group apart needs all of them. `torchrun` sees
    this one die and ends the others.
    """
    if not distributed.is_available() or not distributed.is_initialized():
        return  # nor join them now
    if rank_and_world()[1] == 1:
        return
    code: Any = 1
    if isinstance(error, SystemExit):
        code = error.code
    else:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def leave() -> None:
    """Leave the group, if there is one."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
