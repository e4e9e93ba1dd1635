"""Pictures' masks of 0 and 255 where a set has one class: many programs write them so."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHITE = 255


def is_white(integers: Sequence[int], values: Sequence[Sequence[int]]) -> bool:
    """Say whether a picture's mask is one of 0 and 255 that means a set's only class.

    Args:
        integers: All that occur in the mask.
        values: For each class its integers, as declared.
    """
    single = len(values) == 1 and len(values[0]) == 1 and WHITE not in values[0]
    return single and WHITE in integers and set(integers) <= {0, WHITE}


def without_white(mask: NDArray[Any], values: Sequence[Sequence[int]]) -> NDArray[Any]:
    """Return a mask `(rows, columns)` of 0 and 255 with the only class for 255.

    A volume, another mask, or one of a set with several classes is returned as it is.
    """
    if mask.ndim != 2 or not is_white(np.unique(mask).tolist(), values):
        return mask
    return np.where(mask == WHITE, values[0][0], 0)
