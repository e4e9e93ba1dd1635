"""How much memory this process has, and what one step adds to it."""

import ctypes
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psutil

PAUSE_S: Final = 0.002  # between two looks


def resident_bytes() -> int:
    """Resident memory of this process now."""
    return int(psutil.Process().memory_info().rss)


def release_free_memory() -> None:
    """Give freed blocks back to the system, where the C library can be told so."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


class Trimmer:
    """Gives the holes of the heap back when the process has grown, or would pass a bar.

    Logits come and go between small objects that stay. An allocator that keeps large blocks then
    finds no hole that is large enough any more, and the heap grows with every window.

    Args:
        step: Bytes that the process may grow by each time.
        bar: Bytes that it should never have between two windows; None: no such bar.
    """

    def __init__(self, step: int, bar: int | None = None) -> None:
        self._step, self._fixed = step, bar
        self._bar = resident_bytes() + step

    def __call__(self) -> None:
        """Look at the process's memory now."""
        size = resident_bytes()
        if size > self._bar or (self._fixed is not None and size > self._fixed):
            release_free_memory()
            self._bar = resident_bytes() + self._step


def added_bytes(step: Callable[[], object]) -> int:
    """The most that `step` adds to the resident memory while it runs."""
    before = peak = resident_bytes()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(PAUSE_S):
            peak = max(peak, resident_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        step()
    finally:
        done.set()
        watcher.join()
    return max(peak, resident_bytes()) - before
