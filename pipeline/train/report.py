"""What a run reports: a line per epoch, the table of the held-out cases, pictures."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from pipeline.figures import overlay
from pipeline.io import read_image
from pipeline.manifests import label_of_row, load_label, without_white
from pipeline.metrics import Score, Summary, score_case, summarise, write_table
from pipeline.train.schedule import Clock
from pipeline.train.validation import BestWeights
from pipeline.transforms.classes import to_integers

logger = logging.getLogger("unetworks")


class EpochLog:
    """Logs a line per epoch: mean loss, learning rate, validation, time.

    Args:
        clock: Knows the time.
        best: Knows the validations.
    """

    def __init__(self, clock: Clock, best: BestWeights) -> None:
        self.clock, self.best = clock, best
        self.losses: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _collect(self, engine: Engine) -> None:
        self.losses.append(float(engine.state.output["loss"]))  # type: ignore[index]

    def __call__(self, engine: Engine) -> None:
        """Log the epoch that ended."""
        epoch = engine.state.epoch
        rate = self.clock.schedule.optimizer.param_groups[0]["lr"]
        validated = [m for e, m in self.best.history if e == epoch]
        score = f", val Dice {validated[-1]:.3f}" if validated else ""
        loss = np.mean(self.losses)
        seconds = self.clock.elapsed_s
        logger.info(
            "epoch %d: loss %.3f, lr %.2g%s (%.0f s, %d updates)",
            epoch, loss, rate, score, seconds, engine.state.iteration,
        )  # fmt: skip
        self.losses.clear()


class ScoreTable:
    """Scores masks on their labels' own grid and writes `scores.csv` when the evaluator is done.

    Args:
        path: The table.
        facts: The fingerprint: names, integers, head.
        pictures: Folder of overlays; None: none are drawn.
        window: Of the overlays, in the image's unit; None: by percentiles.
        drawn: Number of cases with an overlay.
        tolerance: Of the surface Dice, in mm.

    Attributes:
        rows: Scores of all cases and classes.
        summary: Their means, once the evaluator is done; None where no case had a label.
    """

    def __init__(
        self,
        path: str | Path,
        facts: Mapping[str, Any],
        pictures: str | Path | None = None,
        window: Sequence[Sequence[float]] | None = None,
        drawn: int = 3,
        tolerance: float = 2.0,
    ) -> None:
        self.path, self.facts = Path(path), facts
        self.pictures = None if pictures is None else Path(pictures)
        self.window = None if not window else (float(window[0][0]), float(window[0][1]))
        self.drawn, self.tolerance = drawn, tolerance
        self.rows: list[Score] = []
        self.summary: Summary | None = None
        self.classes = {
            name: tuple(int(v) for v in group)
            for name, group in zip(facts["classes"], facts["values"], strict=True)
        }

    def attach(self, engine: Engine) -> None:
        """Listen to an evaluator whose output has the restored class map under `pred`."""
        engine.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def __call__(self, engine: Engine) -> None:
        """Score the cases of a batch that have a label."""
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        for case, result in zip(batch, output, strict=True):
            if isinstance(case.get("label"), str | Mapping):
                self._score(case, np.asarray(torch.as_tensor(result["pred"])))

    def _score(self, case: Mapping[str, Any], classes: np.ndarray[Any, Any]) -> None:
        mask = to_integers(classes, self.facts["values"], self.facts["head"])
        label = load_label(label_of_row(case["label"]))
        array = without_white(label.array, self.facts["values"])
        spacing = None
        if label.affine is not None:
            spacing = [float(s) for s in np.linalg.norm(label.affine[:3, :3], axis=0)]
        scores = score_case(mask, array, self.classes, spacing, self.tolerance, case=case["case"])
        self.rows.extend(scores)
        if self.pictures is not None and len(self.rows) <= self.drawn * len(self.classes):
            self._draw(case, array, mask, scores)

    def _draw(
        self,
        case: Mapping[str, Any],
        label: np.ndarray[Any, Any],
        mask: np.ndarray[Any, Any],
        scores: Sequence[Score],
    ) -> None:
        """Draw an overlay of one case."""
        assert self.pictures is not None
        image = read_image(case["image"].meta["filename_or_obj"], series=case.get("series"))
        self.pictures.mkdir(parents=True, exist_ok=True)
        dice = [s.dice for s in scores if s.state != "absent"]
        mean = f"{np.mean(dice):.3f}" if dice else "-"
        # an overlay shows the first integer of each region; overlapping ones are drawn in order
        names = {name: values[0] for name, values in self.classes.items()}
        single = mask if mask.ndim == label.ndim else mask.argmax(-1) + mask.any(-1)
        overlay(
            image.array,
            label,
            single,
            names,
            self.pictures / f"test-{case['case']}.png",
            affine=image.affine,
            window=self.window,
            title=f"{case['case']}: mean Dice {mean}",
        )

    def _write(self, engine: Engine) -> None:
        if self.rows:
            self.summary = summarise(self.rows)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_table(self.rows, self.summary, self.path)
