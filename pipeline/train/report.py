"""What a run reports: a line per epoch, the table of the held-out cases, pictures."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from pipeline.errors import GeometryError
from pipeline.figures import overlay
from pipeline.io import Volume, read_image
from pipeline.manifests import label_of_row, load_label, without_white
from pipeline.metrics import Score, Summary, score_case, summarise, write_table
from pipeline.metrics.cohort import on_labels_grid
from pipeline.metrics.grid import onto_grid
from pipeline.train.schedule import Clock
from pipeline.train.validation import BestWeights
from pipeline.transforms.classes import to_integers

logger = logging.getLogger("unetworks")


def plan_line(plan: Mapping[str, Any]) -> str:
    """What a training goes by, on one line; `unetworks data plan` says why."""
    window = "; ".join(f"{low:g} to {high:g}" for low, high in plan["window"] or ())
    parts = {
        "patch": " x ".join(map(str, plan["patch"])),
        "spacing": " x ".join(f"{mm:.3g}" for mm in plan["spacing"] or ()) or "as it is",
        "normalisation": f"{plan['normalisation']} {window}".strip(),
        "batch": plan["batch_size"],
        "updates per epoch": plan["epoch_length"],
        "learning rate": f"{plan['learning_rate']:.3g}",
        "norm": plan.get("norm"),
    }
    return "plan: " + ", ".join(f"{name} {value}" for name, value in parts.items())


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
        label = replace(label, array=without_white(label.array, self.facts["values"]))
        meta = case["image"].meta
        place = meta["original_affine"] if label.affine is not None else None
        predicted = Volume(mask, None if place is None else np.asarray(place, dtype=np.float64))
        try:
            moved, _ = on_labels_grid(predicted, label, case["case"])
            scores = score_case(
                moved, label.array, self.classes, label.spacing, self.tolerance, case=case["case"]
            )
        except GeometryError as error:  # the trained weights are not to be lost for it
            logger.warning("warning: %s is not scored: %s", case["case"], error.line())
            return
        self.rows.extend(scores)
        if self.pictures is not None and len(self.rows) <= self.drawn * len(self.classes):
            self._draw(case, label, mask, scores)

    def _draw(
        self,
        case: Mapping[str, Any],
        label: Volume,
        mask: np.ndarray[Any, Any],
        scores: Sequence[Score],
    ) -> None:
        """Draw an overlay of one case, on its image's grid."""
        assert self.pictures is not None
        image = read_image(case["image"].meta["filename_or_obj"], series=case.get("series"))
        self.pictures.mkdir(parents=True, exist_ok=True)
        dice = [s.dice for s in scores if s.state != "absent"]
        mean = f"{np.mean(dice):.3f}" if dice else "-"
        # an overlay shows the first integer of each region; overlapping ones are drawn in order
        names = {name: values[0] for name, values in self.classes.items()}
        drawn = label.array
        if label.affine is not None and image.affine is not None:
            drawn = onto_grid(drawn, label.affine, image.shape, image.affine)
        single = mask if mask.ndim == image.spatial_dims else mask.argmax(-1) + mask.any(-1)
        overlay(
            image.array,
            drawn,
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
