"""Learning rate and class weights follow the progress, which time or epochs drive."""

import math
import time
from typing import Any

from ignite.engine import Engine, Events
from torch.optim import Optimizer

from pipeline.train.distributed import agreed


class WarmCosine:
    """Linear warm-up, then half a cosine down to 0, over a progress from 0 to 1.

    Args:
        optimizer: Its groups' learning rates at construction are the peaks.
        warmup: Share of the training until the peak.

    Source: Loshchilov and Hutter, arXiv 1608.03983, without restarts.
    """

    def __init__(self, optimizer: Optimizer, warmup: float = 0.05) -> None:
        self.optimizer, self.warmup = optimizer, warmup
        self.peaks = [float(group["lr"]) for group in optimizer.param_groups]

    def factor(self, progress: float) -> float:
        """Share of the peak at `progress`."""
        if progress < self.warmup:
            return max(0.02, progress / self.warmup)
        rest = (min(progress, 1.0) - self.warmup) / (1 - self.warmup)
        return 0.5 * (1 + math.cos(math.pi * rest))

    def set(self, progress: float) -> None:
        """Set the learning rates for `progress`."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * self.factor(progress)


class Clock:
    """Drives the schedule and ends the training after `max_epochs` or `max_minutes`.

    The schedule anneals within what is given, so that a slow machine anneals as well as a fast
    one; with both, what is nearer to its end counts. A limit of time ends the epoch early; the
    epoch then counts as completed.

    Args:
        schedule: Sets learning rates from a progress.
        loss: Its attribute `progress` is set before each update, if it has one.
        max_epochs: None: no limit.
        max_minutes: None: no limit. Validation counts, the report on the test cases does not.

    Attributes:
        elapsed_s: Seconds trained, those before a resume included.
        ended_by: `max_epochs` or `max_minutes`, once one is reached.
    """

    def __init__(
        self,
        schedule: WarmCosine,
        loss: Any,
        max_epochs: int | None,
        max_minutes: float | None,
    ) -> None:
        self.schedule, self.loss = schedule, loss
        self.max_epochs, self.max_minutes = max_epochs, max_minutes
        self.before_s = 0.0
        self.began: float | None = None
        self.ended_by = ""

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_STARTED, self._schedule)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._end_epoch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end)

    @property
    def elapsed_s(self) -> float:
        """Seconds trained so far."""
        return self.before_s + (time.monotonic() - self.began if self.began is not None else 0.0)

    def progress(self, engine: Engine) -> float:
        """Share of the training that is done, 0 to 1; the same in all processes."""
        shares = [0.0]
        if self.max_epochs is not None:
            total = self.max_epochs * (engine.state.epoch_length or 1)
            shares.append((engine.state.iteration - 1) / total)
        if self.max_minutes is not None:
            shares.append(agreed(self.elapsed_s) / (60 * self.max_minutes))
        return min(1.0, max(shares))

    def is_last(self, engine: Engine) -> bool:
        """Whether the epoch that just ended is the last one."""
        return bool(self.ended_by) or engine.state.epoch == engine.state.max_epochs

    def _start(self, engine: Engine) -> None:
        self.began = time.monotonic()

    def _schedule(self, engine: Engine) -> None:
        progress = self.progress(engine)
        self.schedule.set(progress)
        if hasattr(self.loss, "progress"):
            self.loss.progress = progress

    def _end_epoch(self, engine: Engine) -> None:
        if self.max_minutes is not None and agreed(self.elapsed_s) >= 60 * self.max_minutes:
            self.ended_by = "max_minutes"
            engine.terminate_epoch()

    def _end(self, engine: Engine) -> None:
        if not self.ended_by and engine.state.epoch == self.max_epochs:
            self.ended_by = "max_epochs"
        if self.ended_by:
            engine.terminate()

    def state_dict(self) -> dict[str, Any]:
        """What a resume needs."""
        return {"elapsed_s": self.elapsed_s}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.before_s = float(state["elapsed_s"])
