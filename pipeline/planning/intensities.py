"""What may be done to intensities before the network sees them: names, and what each means."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NORMALISATIONS: Final = {
    "window": "clip to an interval in the image's unit (HU), then to -1..1",
    "dataset": "clip to an interval, then by mean and deviation of the training set's foreground",
    "percentile": "clip to the image's own percentiles 0.5 and 99.5, then to -1..1",
    "zscore": "mean 0 and deviation 1 over all voxels of the image",
    "zscore_nonzero": "mean 0 and deviation 1 over the voxels that are not 0, which stay 0",
    "zscore_foreground": "by mean and deviation of the voxels above the image's mean",
}
FIXED: Final = ("window", "dataset")  # the same interval for every case
CONTRASTS: Final = {
    "equalise": "histogram equalisation of each channel",
    "clahe": "contrast-limited equalisation by tiles of an eighth of each axis",
}


def network_channels(modality: Sequence[str], plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what each channel of the network's input is: the files' channels, by modality.

    Of one channel with several windows each window is a channel, named by its ends; where a
    network sees adjacent slices, each of them is one, named by its distance.

    Args:
        modality: One for each channel of the files.
        plan: Its `window` and `slices`.
    """
    window: Sequence[Sequence[float]] | None = plan["window"]
    names = tuple(modality)
    if window is not None and len(modality) == 1 < len(window):
        names = tuple(f"{modality[0]} {low:g} to {high:g}" for low, high in window)
    around = int(plan.get("slices", 1)) // 2
    if not around:
        return names
    near = range(-around, around + 1)
    return tuple(f"{name}, slice {i:+d}" if i else name for name in names for i in near)


def light_ground(values: NDArray[Any]) -> float | None:
    """Return where a picture is turned: twice the middle of its range, if it is mostly light.

    The range is that between percentiles 0.5 and 99.5 of all values; mostly light is a picture
    whose median lies above its middle. None: mostly dark.
    """
    low, median, high = np.percentile(values, (0.5, 50, 99.5))
    return float(low + high) if median > (low + high) / 2 else None
