"""Windows on their way to a GPU: copied from pinned memory while the ones before are computed."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def staged(batches: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield each batch on `device` as fp32; on a GPU the next one is already on its way.

    A batch that is there already is handed on as it is.
    """
    if device.type != "cuda":
        for batch in batches:
            yield batch.to(device, torch.float32)
        return
    copies: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: tuple[Tensor, torch.cuda.Event] | None = None
    for batch in batches:
        following = _sent(batch, device, copies)
        if waiting is not None:
            yield _arrived(*waiting)
        waiting = following
    if waiting is not None:
        yield _arrived(*waiting)


def _sent(
    batch: Tensor, device: torch.device, copies: torch.cuda.Stream
) -> tuple[Tensor, torch.cuda.Event]:
    """Start the copy of a batch; torch keeps its pinned buffer until the copy is done."""
    event: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    if batch.device.type == "cuda":
        event.record(torch.cuda.current_stream(device))
        return batch.float(), event
    with torch.cuda.stream(copies):
        there = batch.to(torch.float32).pin_memory().to(device, non_blocking=True)
        event.record(copies)
    return there, event


def _arrived(batch: Tensor, event: torch.cuda.Event) -> Tensor:
    """A batch that the computing stream may read."""
    computing = torch.cuda.current_stream(batch.device)
    event.wait(computing)
    batch.record_stream(computing)
    return batch
