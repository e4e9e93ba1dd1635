"""Means over cases, then over classes, and the counts of what they leave out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan

from pipeline.metrics.score import Score, Unit


@dataclass(frozen=True, slots=True)
class Mean:
    """Means of one class over its cases, or of all classes; fields as in `Score`.

    A class that is rightly absent from a case has no part in the means. The four counts say how
    many cases of the class (of all classes: how many rows) were in each state.
    """

    name: str
    dice: float
    iou: float
    hd95: float
    surface_dice: float
    volume_label_ml: float
    volume_prediction_ml: float
    present: int
    missed: int
    invented: int
    absent: int

    @property
    def counted(self) -> int:
        """Number of cases that the means are taken over."""
        return self.present + self.missed + self.invented


@dataclass(frozen=True, slots=True)
class Summary:
    """Means of each class, in the order of the rows, and over all of them.

    Args:
        classes: One a class.
        mean: Mean of `classes`, those without any counted case left out; its volumes are NaN.
        unit: Of HD95.
    """

    classes: tuple[Mean, ...]
    mean: Mean
    unit: Unit = "mm"


def summarise(rows: Sequence[Score]) -> Summary:
    """Average over cases, then over classes; NaN where nothing is left to average."""
    by_class: dict[str, list[Score]] = {}
    for row in rows:
        by_class.setdefault(row.name, []).append(row)
    classes = tuple(_mean_of_class(name, of_class) for name, of_class in by_class.items())
    mean = Mean(
        "all",
        _mean(one.dice for one in classes),
        _mean(one.iou for one in classes),
        _mean(one.hd95 for one in classes),
        _mean(one.surface_dice for one in classes),
        nan,
        nan,
        *_counts(rows),
    )
    return Summary(classes, mean, rows[0].unit if rows else "mm")


def _mean_of_class(name: str, rows: Sequence[Score]) -> Mean:
    """The means of one class over the cases where it is present, missed or invented."""
    counted = [row for row in rows if row.state != "absent"]
    return Mean(
        name,
        _mean(row.dice for row in counted),
        _mean(row.iou for row in counted),
        _mean(row.hd95 for row in counted),
        _mean(row.surface_dice for row in counted),
        _mean(row.volume_label_ml for row in counted),
        _mean(row.volume_prediction_ml for row in counted),
        *_counts(rows),
    )


def _counts(rows: Iterable[Score]) -> tuple[int, int, int, int]:
    """How many rows are present, missed, invented, absent."""
    states = Counter(row.state for row in rows)
    return states["present"], states["missed"], states["invented"], states["absent"]


def _mean(values: Iterable[float]) -> float:
    """The mean of what is a number."""
    there = [value for value in values if not isnan(value)]
    return sum(there) / len(there) if there else nan
