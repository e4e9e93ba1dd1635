"""Intersection over union of probabilities or masks, and article 002's matrix IoU.

`score_case` is what a run reports; these are plain functions of two arrays for comparing with the
articles, whose numbers depend on how a batch is flattened.
"""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pipeline.errors import GeometryError, UnknownNameError

SMALLEST = 1e-7  # the article's term, which makes two empty masks agree
HALF = 0.5  # above it a voxel is inside

Array = npt.NDArray[Any]
Per = Literal["batch", "image"]


def soft_iou(probabilities: Array, mask: Array) -> float:
    """Return sum(p y) / sum(p + y - p y) over all voxels; 1 where both are zero everywhere.

    Args:
        probabilities: From 0 to 1, any shape.
        mask: 0 and 1, of the same shape.

    Raises:
        GeometryError: The shapes differ.
    """
    p, y = _doubles(probabilities, mask)
    both = float((p * y).sum())
    union = float((p + y).sum()) - both
    return both / union if union > 0 else 1.0


def hard_iou(prediction: Array, mask: Array) -> float:
    """Return the IoU of what is above 0.5 in either array; 1 where nothing is.

    Args:
        prediction: Probabilities or a mask, any shape.
        mask: Of the same shape.

    Raises:
        GeometryError: The shapes differ.
    """
    p, y = _doubles(prediction, mask)
    return soft_iou((p > HALF).astype(float), (y > HALF).astype(float))


def matrix_iou(probabilities: Array, mask: Array, *, per: Per = "batch") -> float:
    """Return article 002's IoU of `(B, ...)`: of the flattened batch, or the mean over images.

    Both arrays are cut at 0.5; 1e-7 is added to both sides, so two empty masks have 1.

    Args:
        probabilities: From 0 to 1, the batch first.
        mask: Of the same shape.
        per: "batch" as published, where large objects count for more; "image" for the mean.

    Raises:
        GeometryError: The shapes differ.
        UnknownNameError: `per` is another word.

    Source: article 002, `eval_iou`.
    """
    if per not in get_args(Per):
        raise UnknownNameError(f"no IoU per {per!r}", hint="use batch or image")
    p, y = _doubles(probabilities, mask)
    rows = (1, -1) if per == "batch" else (len(p), -1)
    inside = [(array > HALF).reshape(rows).astype(float) for array in (p, y)]
    both = (inside[0] * inside[1]).sum(1) + SMALLEST
    union = (inside[0] + inside[1]).sum(1) - both + 2 * SMALLEST
    return float((both / union).mean())


def _doubles(first: Array, second: Array) -> tuple[Array, Array]:
    """Both arrays in double precision, which counts any number of voxels exactly."""
    if np.shape(first) != np.shape(second):
        raise GeometryError(
            f"shapes {np.shape(first)} and {np.shape(second)} differ",
            hint="bring both to one grid first",
        )
    return np.asarray(first, np.float64), np.asarray(second, np.float64)
