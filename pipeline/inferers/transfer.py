"""Logits on their way from a GPU to memory, while the next ones are computed."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def on_host(computed: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield tensors in memory; what is there already is handed on as it is.

    Those of a GPU are copied to two pinned buffers in turn. The copy of one is queued before the
    next is asked for, so that an engine may overwrite its output, and is waited for after.
    """
    buffers: list[Tensor] = []
    waiting: tuple[Tensor, torch.cuda.Event] | None = None
    for number, logits in enumerate(computed):
        if logits.device.type != "cuda":
            yield logits
            del logits  # gone before the engine makes the next ones
            continue
        if number < 2:
            buffers.append(torch.empty(logits.shape, dtype=logits.dtype, pin_memory=True))
        there = buffers[number % 2][: len(logits)]
        there.copy_(logits, non_blocking=True)
        event: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(logits.device))
        if waiting is not None:
            waiting[1].synchronize()
            yield waiting[0]
        waiting = (there, event)
    if waiting is not None:
        waiting[1].synchronize()
        yield waiting[0]
