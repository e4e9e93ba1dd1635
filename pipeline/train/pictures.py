"""Overlays of validation cases, drawn after the last validation for the tracking."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from pipeline.figures import overlay
from pipeline.train.distributed import leads
from pipeline.train.schedule import Clock


class ValidationPictures:
    """Draws the first cases of the last validation, on the network's grid.

    Args:
        folder: Where `val-CASE.png` go.
        facts: The fingerprint: names and head.
        spacing: Of the network's grid in mm; None for pictures.
        clock: Knows whether the training has ended.
        drawn: Number of cases.
    """

    def __init__(
        self,
        folder: str | Path,
        facts: Mapping[str, Any],
        spacing: Sequence[float] | None,
        clock: Clock,
        drawn: int = 2,
    ) -> None:
        self.folder, self.facts, self.clock, self.drawn = Path(folder), facts, clock, drawn
        self.affine = None if spacing is None else np.diag([*map(float, spacing), 1.0])

    def attach(self, engine: Engine) -> None:
        """Listen to an evaluator of batches of one case."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Draw the case that was just predicted, if the training has ended."""
        if not self.clock.ended_by or engine.state.iteration > self.drawn or not leads():
            return
        for batch, output in zip(engine.state.batch, engine.state.output, strict=True):
            image, label, pred = (_array(output[key]) for key in ("image", "label", "pred"))
            if self.facts["head"] == "softmax" or len(label) == 1:
                label, pred = label[0], pred[0]
            else:
                label, pred = np.moveaxis(label, 0, -1), np.moveaxis(pred, 0, -1)
            self.folder.mkdir(parents=True, exist_ok=True)
            overlay(
                image[0],
                label,
                pred,
                list(self.facts["classes"]),
                self.folder / f"val-{batch['case']}.png",
                affine=self.affine,
                title=f"{batch['case']} (validation)",
            )


def _array(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(torch.as_tensor(value).cpu())
