"""Memory for tensors that live long beside an engine at work: pages of their own.

Where the allocator is told to keep large blocks, as the torch engine does, its heap only grows: a
tensor that comes to lie in the hole which the last logits left makes the next ones extend it.
"""

import errno
import mmap
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from typing import Final

import torch
from torch import Tensor

HUGE_BYTES: Final = 8 * 2**20  # from here on the system is asked for huge pages
CPU: Final = torch.device("cpu")


def own_pages(
    shape: Sequence[int], dtype: torch.dtype = torch.float32, device: torch.device = CPU
) -> Tensor:
    """Return a tensor whose memory goes back to the system with it; on a GPU an ordinary one.

    Raises:
        MemoryError: The system has no such number of pages left.
    """
    number = prod(shape)
    if device.type != "cpu" or not number:
        return torch.empty(tuple(shape), dtype=dtype, device=device)
    try:
        room = mmap.mmap(-1, number * dtype.itemsize)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"no {number * dtype.itemsize} bytes of memory are left") from error
        raise
    if len(room) >= HUGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            room.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(room, dtype=dtype, count=number).view(*shape)
