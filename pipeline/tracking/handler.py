"""What the engines tell the run: losses, rates, times, memory, scores, and failures.

It stands first in `train::handlers`: MONAI's `StatsHandler` raises an exception again, and
handlers behind it never hear of it.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, SupportsFloat

from pipeline.tracking.names import flat_scores
from pipeline.tracking.process import peak_memory
from pipeline.tracking.run import TrackedRun, end_of

if TYPE_CHECKING:
    from ignite.engine import Engine

GIB = 2**30


class Optimizer(Protocol):
    """What is asked of an optimizer."""

    param_groups: list[dict[str, Any]]


class TrackingHandler:
    """Record a training as one MLflow run, on the first rank only.

    The run begins when the trainer does and fails with it. Its end belongs to
    `tracked(handler.run)` around the whole job, since scores and pictures follow the training.
    Every step is the trainer's iteration, so that losses and scores share an axis.

    Recorded: `train/loss`, `lr` (`lr/0`, ... with several groups) when it changes, and a time
    per iteration; `epoch`, `time/epoch_s`, `memory/peak_gib` per epoch; `val/NAME` per
    validation, `val/NAME_CLASS` where a score is a vector or a dictionary, `time/val_s`.

    Args:
        experiment: Name of the MLflow experiment.
        run_name: Name of the run.
        params: All settings, resolved and nested.
        tags: Further tags.
        tracking_uri: As in `store.resolve_uri`.
        optimizer: Whose learning rates are recorded.
        evaluator: Whose `state.metrics` are recorded when it is done.
        labels: Class names for scores that are vectors.
        resumed_from: Id or name of the run that this one goes on with.
    """

    def __init__(
        self,
        experiment: str,
        run_name: str,
        params: Mapping[str, object],
        *,
        tags: Mapping[str, str] | None = None,
        tracking_uri: str | None = None,
        optimizer: Optimizer | None = None,
        evaluator: "Engine | None" = None,
        labels: Sequence[str] = (),
        resumed_from: str | None = None,
    ) -> None:
        self.run = TrackedRun(tracking_uri)
        self.experiment = experiment
        self.run_name = run_name
        self.params = params
        self.tags = tags
        self.optimizer = optimizer
        self.evaluator = evaluator
        self.labels = tuple(labels)
        self.resumed_from = resumed_from
        self._rates: dict[str, float] = {}
        self._epoch_began = self._val_began = 0.0
        self._iteration = 0

    def attach(self, engine: "Engine") -> None:
        """Listen to the trainer `engine`, and to the evaluator if there is one."""
        from ignite.engine import Events

        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._log_iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.STARTED, self._begin_validation)
            self.evaluator.add_event_handler(Events.COMPLETED, self._end_validation)

    def start(self, engine: "Engine") -> None:
        """Begin the run; once, however often the trainer is started.

        Raises:
            InvalidValueError: as `TrackedRun.start`.
            ResourceError: as `TrackedRun.start`.
        """
        self._iteration = engine.state.iteration
        if self.run.status is None and is_first_rank():
            self.run.start(
                self.experiment,
                self.run_name,
                self.params,
                self.tags,
                resumed_from=self.resumed_from,
            )

    def state_dict(self) -> dict[str, str | None]:
        """What a resumed run says of this one."""
        return {"run_id": self.run.run_id}

    def load_state_dict(self, state: Mapping[str, str | None]) -> None:
        """Go on with the run of `state_dict`."""
        self.resumed_from = state["run_id"]

    def log_artifacts(self, path: str | Path, folder: str | None = None) -> None:
        """Copy a file, or the files of a folder, to the run's artifacts."""
        self.run.log_artifacts(path, folder)

    def _begin_epoch(self, engine: "Engine") -> None:
        self._epoch_began = time.perf_counter()

    def _log_iteration(self, engine: "Engine") -> None:
        self._iteration = engine.state.iteration
        values: dict[str, SupportsFloat] = {}
        loss = loss_of(engine.state.output)
        if loss is not None:
            values["train/loss"] = loss
        rates = self._learning_rates()
        if rates != self._rates:
            self._rates = rates
            values |= rates
        self.run.log_step(self._iteration, values)

    def _end_epoch(self, engine: "Engine") -> None:
        self.run.log_step(
            engine.state.iteration,
            {
                "epoch": engine.state.epoch,
                "time/epoch_s": time.perf_counter() - self._epoch_began,
                "memory/peak_gib": peak_memory() / GIB,
                **_cuda_memory(),
            },
        )
        self.run.flush()

    def _begin_validation(self, engine: "Engine") -> None:
        self._val_began = time.perf_counter()

    def _end_validation(self, engine: "Engine") -> None:
        scores = flat_scores({f"val/{k}": v for k, v in engine.state.metrics.items()}, self.labels)
        scores["time/val_s"] = time.perf_counter() - self._val_began
        self.run.log_scores(self._iteration, scores)

    def _fail(self, engine: "Engine", error: BaseException) -> None:
        # what ignite passes on depends on how it runs: it may be Ctrl-C as well
        self.run.finish(*end_of(error))
        raise error  # ignite ends in success if no handler raises it again

    def _learning_rates(self) -> dict[str, float]:
        groups = [] if self.optimizer is None else self.optimizer.param_groups
        rates = [float(group["lr"]) for group in groups]
        if len(rates) == 1:
            return {"lr": rates[0]}
        return {f"lr/{number}": rate for number, rate in enumerate(rates)}


def is_first_rank() -> bool:
    """Say whether this process is the first of its group, or alone."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return bool(distributed.get_rank() == 0)
    return int(os.environ.get("RANK", "0")) == 0


def loss_of(output: object) -> SupportsFloat | None:
    """Return the loss in an engine's output, None if there is none.

    Args:
        output: A number, a dictionary with `loss`, or a list of such, one an image, of which
            the first stands for all.
    """
    if isinstance(output, (list, tuple)):
        return loss_of(output[0]) if output else None
    if isinstance(output, Mapping):
        return loss_of(output["loss"]) if "loss" in output else None
    if isinstance(output, str) or not hasattr(output, "__float__"):
        return None
    if hasattr(output, "detach"):
        # reading a number of a GPU waits for it: that is left to the flush
        kept = output.detach()
        loss: SupportsFloat = kept.clone() if kept.is_cuda else float(kept)
        return loss
    loss = output
    return loss


def _cuda_memory() -> dict[str, float]:
    """Return the most GPU memory that torch has held, in GiB."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_available() or not cuda.is_initialized():
        return {}
    return {"memory/cuda_peak_gib": cuda.max_memory_allocated() / GIB}
