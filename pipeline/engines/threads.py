"""torch's threads while another runtime computes: two pools on the same cores slow both down."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_held: list[int] = []  # torch's own number, once for each engine that computes


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use `number` threads inside; 0 leaves it as it is."""
    before = torch.get_num_threads()
    if number in (0, before):
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def torch_held_back() -> Iterator[None]:
    """Leave torch one thread inside; several engines may do so at once and end in any order."""
    _held.append(own_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        before = _held.pop()
        if not _held:
            torch.set_num_threads(before)


def own_threads() -> int:
    """Threads that this process may compute with, whatever torch is held back to now."""
    return _held[0] if _held else torch.get_num_threads()
