"""The table of scores, `scores.csv`, and what the terminal shows of it."""

import csv
from collections.abc import Iterator, Sequence
from math import isnan, nan
from pathlib import Path
from typing import Final, get_args

from pipeline.errors import DataError
from pipeline.io.atomic import atomic_path
from pipeline.metrics.score import Score, State, Unit
from pipeline.metrics.summary import Mean, Summary

STATES: Final[tuple[State, ...]] = get_args(State)
_STATE_OF: Final[dict[str, State]] = {state: state for state in STATES}
_DECIMALS = 6


def columns(unit: Unit) -> list[str]:
    """Return the header: `hd95_mm`, or `hd95_px` where pictures were scored."""
    scores = ["dice", "iou", f"hd95_{unit}", "surface_dice"]
    return ["case", "class", "state", *scores, "volume_label_ml", "volume_prediction_ml", "count"]


def write_table(rows: Sequence[Score], summary: Summary, path: str | Path) -> None:
    """Write one row a case and class, then the means, then the counts, as CSV.

    Means have `mean` for a case, and for a class its name, or `all`; `count` is then the number
    of cases averaged (of `all`: the number of rows). Counts have `count` for a case, one row a
    state. A cell is empty where a number has no meaning. The file appears whole or not at all.

    Raises:
        ResourceError: The disk is full.
        DataError: The file cannot be written.
    """
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns(summary.unit))
        for row in rows:
            writer.writerow([row.case, row.name, row.state, *_numbers(row), ""])
        for mean in (*summary.classes, summary.mean):
            writer.writerow(["mean", mean.name, "", *_numbers(mean), mean.counted])
        for state in STATES:
            count = getattr(summary.mean, state)
            writer.writerow(["count", "all", state, *[""] * 6, count])


def read_table(path: str | Path) -> list[Score]:
    """Read the rows of cases out of a table; `summarise` gives the means again.

    Raises:
        DataError: The file is missing, or no table of scores.
    """
    wrong = DataError(f"{path}: no table of scores", hint="write one: unetworks score ... -o FILE")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file", hint=wrong.hint) from None
    except (UnicodeDecodeError, csv.Error):
        raise wrong from None
    units = [unit for unit in get_args(Unit) if header == columns(unit)]
    if not units:
        raise wrong
    try:
        return [_row(line, units[0]) for line in lines if line[2] and not line[9]]
    except (ValueError, IndexError, KeyError):
        raise wrong from None


def format_table(summary: Summary, tolerance: float) -> str:
    """Return the means and counts of each class as aligned lines, and how they were taken."""
    unit = summary.unit
    lines = [["class", "dice", "iou", f"hd95 {unit}", "surface dice", *STATES]]
    for mean in (*summary.classes, summary.mean):
        scores = [mean.dice, mean.iou, mean.hd95, mean.surface_dice]
        digits = [3, 3, 2, 3]
        cells = [_cell(value, n) or "-" for value, n in zip(scores, digits, strict=True)]
        lines.append([mean.name, *cells, *(str(getattr(mean, state)) for state in STATES)])
    return "\n".join(
        [
            *_aligned(lines),
            f"surface Dice at {tolerance:g} {unit}; missed or invented counts as Dice 0 and the "
            "image's diagonal; absent (rightly) is left out",
        ]
    )


def _numbers(row: Score | Mean) -> list[str]:
    """The six numbers of a row."""
    scores = (row.dice, row.iou, row.hd95, row.surface_dice)
    volumes = (row.volume_label_ml, row.volume_prediction_ml)
    return [_cell(value, _DECIMALS) for value in (*scores, *volumes)]


def _cell(value: float, decimals: int) -> str:
    """A number, or nothing where there is none."""
    return "" if isnan(value) else f"{value:.{decimals}f}"


def _row(line: Sequence[str], unit: Unit) -> Score:
    """One row of a case."""
    case, name, state, *cells, _ = line
    dice, iou, hd95, near, true, found = (float(cell) if cell else nan for cell in cells)
    return Score(case, name, _STATE_OF[state], dice, iou, hd95, near, true, found, unit)


def _aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of equal width: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for name, *numbers in lines:
        cells = (text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *cells])
