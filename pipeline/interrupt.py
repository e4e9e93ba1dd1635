"""Ctrl-C and SIGTERM end a run in the same way, with their own exit codes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM: a scheduler or a container ends the run."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM into an exception while the block runs; outside the main thread do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def terminate_as_exception() -> None:
    """Turn SIGTERM into an exception from now on; outside the main thread do nothing."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Terminated


def exit_code(error: BaseException) -> int:
    """143 for SIGTERM, 130 for Ctrl-C."""
    return 143 if isinstance(error, Terminated) else 130
