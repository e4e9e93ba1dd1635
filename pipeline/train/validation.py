"""Validation at intervals and at the end, and the best weights by it."""

import math
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.handlers import ValidationHandler

from pipeline.train.average import Average
from pipeline.train.distributed import share_buffers
from pipeline.train.schedule import Clock


class Validation(ValidationHandler):
    """MONAI's `ValidationHandler`, which also validates after the last epoch.

    Args:
        interval: Epochs between validations.
        validator: The evaluator; None or one without cases: nothing is validated.
        clock: Knows which epoch is the last.
    """

    def __init__(self, interval: int, validator: Any, clock: Clock) -> None:
        super().__init__(interval=interval, validator=validator, epoch_level=True)
        self.clock = clock
        self.cases = len(validator.data_loader) if validator is not None else 0

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Validate if the epoch is due or the last."""
        due = engine.state.epoch % self.interval == 0 or self.clock.is_last(engine)
        if due and self.cases:
            share_buffers(self.validator.network)  # type: ignore[union-attr]
            super().__call__(engine)
            # the last case would stay on the GPU beside the training
            state = self.validator.state  # type: ignore[union-attr]
            state.batch = state.output = None


class BestWeights:
    """Keeps the averaged weights of the best validation in memory, for the state and the export.

    Args:
        average: The averaged network.

    Attributes:
        metric: The best key metric so far; None before the first validation.
        epoch: Its epoch.
        state: Its weights on the CPU.
        history: `[epoch, metric]` of each validation.
    """

    def __init__(self, average: Average) -> None:
        self.average = average
        self.metric: float | None = None
        self.epoch = 0
        self.state: dict[str, torch.Tensor] | None = None
        self.history: list[list[float]] = []

    def attach(self, engine: Engine) -> None:
        """Listen to an evaluator with a key metric."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Keep the weights if they are the best."""
        metric = float(engine.state.metrics[engine.state.key_metric_name])
        self.history.append([engine.state.epoch, metric])
        # a validation in which every class is rightly absent is no number and proves nothing
        if self.metric is None or math.isnan(self.metric) or metric > self.metric:
            self.metric, self.epoch = metric, engine.state.epoch
            self.state = {
                k: v.detach().cpu().clone() for k, v in self.average.module.state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resume needs."""
        return {
            "metric": self.metric,
            "epoch": self.epoch,
            "state": self.state,
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.metric, self.epoch = state["metric"], state["epoch"]
        self.state, self.history = state["state"], state["history"]
