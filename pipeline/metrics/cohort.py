"""Scores of many cases, from their files."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import GeometryError
from pipeline.io.volume import Volume
from pipeline.manifests.label import load_label
from pipeline.manifests.white import is_white
from pipeline.metrics.grid import onto_grid, same_grid
from pipeline.metrics.pairs import Pair
from pipeline.metrics.score import TOLERANCE_MM, Classes, Score, score_case


def score_pairs(
    pairs: Iterable[Pair],
    classes: Classes,
    tolerance: float = TOLERANCE_MM,
    *,
    warn: Callable[[str], None] | None = None,
) -> list[Score]:
    """Read and score each pair on the label's grid; one case is held at a time.

    Args:
        pairs: Files of predictions and labels.
        classes: As for `score_case`.
        tolerance: Of the surface Dice, in mm; in pixels for pictures.
        warn: Takes one line for each mask that lay on another grid, and one for the first label
            of 0 and 255 that stands for the only class.

    Raises:
        DataError: A file cannot be read or does not fit the classes.
        GeometryError: A prediction and its label have no common space, or pictures and scans
            are mixed.
    """
    rows: list[Score] = []
    told = warn is None
    for pair in pairs:
        label, prediction = (
            load_label(source, channels=True) for source in (pair.label, pair.prediction)
        )
        mask, warning = on_labels_grid(prediction, label, pair.case)
        if warning and warn is not None:
            warn(warning)
        if not told and _is_white(label, classes) and warn is not None:
            warn(f"case {pair.case}: a mask of 0 and 255; 255 is taken for the only class")
            told = True
        rows += score_case(mask, label.array, classes, label.spacing, tolerance, case=pair.case)
        if rows[-1].unit != rows[0].unit:
            raise GeometryError(
                f"case {rows[0].case!r} is measured in {rows[0].unit}, "
                f"case {pair.case!r} in {rows[-1].unit}",
                hint="score pictures and scans apart",
            )
    return rows


def _is_white(label: Volume, classes: Classes) -> bool:
    """Whether a label is a picture of 0 and 255, and another integer was declared."""
    if label.affine is not None or not isinstance(classes, Mapping):
        return False
    values = [(v,) if isinstance(v, int) else tuple(v) for v in classes.values()]
    return is_white(np.unique(label.array).tolist(), values)


def on_labels_grid(
    prediction: Volume, label: Volume, case: str
) -> tuple[npt.NDArray[Any], str | None]:
    """Return the prediction's array on the label's grid, and a warning if it had to be moved.

    Raises:
        GeometryError: A picture against a scan, pictures of different sizes, or fields of view
            that do not overlap.
    """
    if prediction.affine is None or label.affine is None:
        if (prediction.affine is None) != (label.affine is None):
            raise GeometryError(
                f"case {case!r}: one mask is a picture and the other has a place in mm",
                hint="give both as NIfTI or both as pictures",
            )
        return prediction.array, None  # sizes are compared by `score_case`
    if same_grid(prediction.shape, prediction.affine, label.shape, label.affine):
        return prediction.array, None
    try:
        moved = onto_grid(prediction.array, prediction.affine, label.shape, label.affine)
    except GeometryError as error:
        raise GeometryError(f"case {case!r}: {error}", hint=error.hint) from None
    grids = " onto ".join(_grid(volume) for volume in (prediction, label))
    return moved, f"case {case}: the prediction lies on another grid; brought from {grids}"


def _grid(volume: Volume) -> str:
    """Size and spacing in words."""
    spacing = " x ".join(f"{mm:.3g}" for mm in volume.spacing or ())
    return f"{'x'.join(map(str, volume.shape))} of {spacing} mm"
