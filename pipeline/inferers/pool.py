"""Memory for the sums of unfinished cells, used again and again."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from pipeline.inferers.pages import own_pages


class Pool:
    """Hands out buffers and takes them back; never holds more than was once needed at a time.

    Fresh pages cost a CPU ten times their first write, so what comes back is kept for the next
    cell of the same size. A size that no longer comes is dropped before the whole would exceed
    `peak_bytes`.

    Args:
        device: Where the buffers lie.
        dtype: Of the sums.

    Attributes:
        live_bytes: Handed out now.
        peak_bytes: The most that was handed out at once.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = device, dtype
        self.live_bytes = self.peak_bytes = self._kept_bytes = 0
        self._free: dict[int, list[Tensor]] = {}

    @property
    def held_bytes(self) -> int:
        """Handed out or kept."""
        return self.live_bytes + self._kept_bytes

    def take(self, shape: Sequence[int]) -> Tensor:
        """Return an uninitialised tensor."""
        size = prod(shape)
        number = size * self.dtype.itemsize
        self.live_bytes += number
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        kept = self._free.get(size)
        if kept:
            self._kept_bytes -= number
            return kept.pop().view(*shape)
        self._drop()
        return own_pages((size,), self.dtype, self.device).view(*shape)

    def give(self, buffer: Tensor) -> None:
        """Take a tensor back; the caller must not use it any more."""
        number = buffer.numel() * self.dtype.itemsize
        self.live_bytes -= number
        self._kept_bytes += number
        self._free.setdefault(buffer.numel(), []).append(buffer.view(-1))

    def _drop(self) -> None:
        """Forget kept buffers, oldest sizes first, until the whole is within the peak."""
        for size in list(self._free):
            while self._free[size] and self.held_bytes > self.peak_bytes:
                self._free[size].pop()
                self._kept_bytes -= size * self.dtype.itemsize
            if not self._free[size]:
                del self._free[size]
