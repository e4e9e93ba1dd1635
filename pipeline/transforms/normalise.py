"""Intensities to the network's range."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from pipeline.errors import DataError, InvalidValueError
from pipeline.planning.intensities import FIXED, NORMALISATIONS
from pipeline.transforms.units import refuse_no_hu

PERCENTILES = (0.5, 99.5)
TINY = 1e-8  # below it a spread counts as none


class Normalised(MapTransform):
    """Scale images `(C, *S)` to float32 of about -1..1; meta data stay, there is no way back.

    `window`: clipped to the channel's interval, then linearly to -1..1. `dataset`: clipped to
    it, then by the training set's mean and deviation. One channel with several intervals becomes
    as many channels, in their order. The others take each channel of each image by itself:
    `percentile` (0.5 to 99.5, clipped, to -1..1), `zscore` over all voxels, `zscore_nonzero` over
    those that are not 0 (a 0 stays), `zscore_foreground` by those above the channel's mean.

    Args:
        keys: Keys of tensors `(C, *S)`.
        normalisation: One of `pipeline.planning.intensities.NORMALISATIONS`.
        window: Lower and upper end per channel, in the image's unit (HU for CT).
        statistics: Mean and standard deviation per channel, for `dataset`.
        allow_missing_keys: Skip keys that a case does not have.
        any_unit: Accept a CT whose header says that its values are not HU.

    Raises:
        InvalidValueError: Another normalisation, or one without the numbers that it needs.
        DataError: At the call, for several channels and another number of windows, or for
            intervals and a CT that is not in HU.
    """

    def __init__(
        self,
        keys: KeysCollection,
        normalisation: str = "zscore",
        window: Sequence[Sequence[float]] | None = None,
        statistics: Sequence[Sequence[float]] | None = None,
        allow_missing_keys: bool = False,
        any_unit: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if normalisation not in NORMALISATIONS:
            raise InvalidValueError(
                f"normalisation is {normalisation!r}", hint=f"use {', '.join(NORMALISATIONS)}"
            )
        if normalisation in FIXED and not window:
            raise InvalidValueError(
                f"{normalisation} has no interval", hint="give low and high per channel"
            )
        if normalisation == "dataset" and len(statistics or ()) != len(window or ()):
            raise InvalidValueError(
                f"dataset has {len(statistics or ())} statistics for {len(window or ())} intervals",
                hint="give mean and deviation per channel",
            )
        self.normalisation, self.statistics = normalisation, statistics
        self.window = window if normalisation in FIXED else None
        self.any_unit = any_unit

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with the images scaled."""
        case = dict(data)
        for key in self.key_iterator(case):
            if self.window and not self.any_unit:
                refuse_no_hu(case[key])
            image = case[key].to(torch.float32)
            case[key] = self._fixed(image) if self.window else self._own(image)
        return case

    def _fixed(self, image: torch.Tensor) -> torch.Tensor:
        """By numbers that hold for all images."""
        assert self.window is not None
        channels, windows = image.shape[0], len(self.window)
        if channels == 1 < windows:
            image = image.expand(windows, *image.shape[1:])
        elif channels != windows:
            raise DataError(
                f"{channels} channels and windows for {windows}",
                hint="give the channels that the windows were planned for",
            )
        low, high = _columns(self.window, image)
        if self.normalisation == "window":
            return (image - low).mul_(2 / (high - low)).sub_(1).clamp_(-1, 1)
        mean, std = _columns(self.statistics or (), image)
        return image.clamp(low, high).sub_(mean).div_(std.clamp_min(TINY))

    def _own(self, image: torch.Tensor) -> torch.Tensor:
        """By each channel's own values."""
        scale = _OWN[self.normalisation]
        if image.shape[0] == 1:  # nothing to be copied together: volumes are large
            return scale(image)
        scaled = torch.empty_like(image)
        for channel in range(image.shape[0]):
            scaled[channel] = scale(image[channel])
        return scaled


def _columns(pairs: Sequence[Sequence[float]], image: torch.Tensor) -> list[torch.Tensor]:
    """First and second number of each channel, shaped `(C, 1, ...)`."""
    shape = (-1,) + (1,) * (image.ndim - 1)
    return [
        torch.tensor([p[i] for p in pairs], dtype=torch.float32, device=image.device).view(shape)
        for i in (0, 1)
    ]


def _by(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """`(*S)` less the mean of the chosen voxels, over their deviation; none chosen: all."""
    chosen = chosen if chosen.numel() else values
    mean, spread = chosen.mean(), chosen.std(correction=0).clamp_min(TINY)
    del chosen  # a copy of up to all voxels, before the next one is made
    return (values - mean).div_(spread)


def _where(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The chosen voxels in a row; by numpy, as torch makes an index of 32 bytes for each."""
    if values.device.type != "cpu":
        return values[chosen]
    return torch.from_numpy(values.numpy()[chosen.numpy()])


def _nonzero(values: torch.Tensor) -> torch.Tensor:
    scaled = _by(values, _where(values, values != 0))
    return scaled.masked_fill_(values == 0, 0.0)


def _percentile(values: torch.Tensor) -> torch.Tensor:
    low, high = map(float, np.percentile(values.cpu().numpy(), PERCENTILES))
    if high - low < TINY:
        return torch.zeros_like(values)
    return (values - low).mul_(2 / (high - low)).sub_(1).clamp_(-1, 1)


_OWN = {
    "zscore": lambda values: _by(values, values),
    "zscore_nonzero": _nonzero,
    "zscore_foreground": lambda values: _by(values, _where(values, values > values.mean())),
    "percentile": _percentile,
}
