"""Intensities to the network's range."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from pipeline.errors import DataError, InvalidValueError


class Normalised(MapTransform):
    """Scale images `(C, *S)` to about -1..1, by a fixed window or by each case's own statistics.

    `window`: values are clipped to the channel's interval, then mapped linearly to -1..1.
    `zscore`: each channel of each case to mean 0 and standard deviation 1 over all voxels.
    The result is float32 with the meta data of the input.

    Args:
        keys: Keys of tensors `(C, *S)`.
        normalisation: `window` or `zscore`.
        window: Lower and upper end per channel, in the image's unit (HU for CT).
        allow_missing_keys: Skip keys that a case does not have.

    Raises:
        InvalidValueError: Another normalisation, or `window` without intervals.
        DataError: At the call, for another number of channels than windows.
    """

    def __init__(
        self,
        keys: KeysCollection,
        normalisation: str = "zscore",
        window: Sequence[Sequence[float]] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if normalisation not in ("window", "zscore"):
            raise InvalidValueError(
                f"normalisation is {normalisation!r}", hint="use window or zscore"
            )
        if normalisation == "window" and not window:
            raise InvalidValueError("window has no interval", hint="give low and high per channel")
        self.window = window if normalisation == "window" else None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with the images scaled."""
        case = dict(data)
        for key in self.key_iterator(case):
            image = case[key].to(torch.float32)
            case[key] = self._clip(image) if self.window else self._standardise(image)
        return case

    def _clip(self, image: torch.Tensor) -> torch.Tensor:
        assert self.window is not None
        if len(self.window) != image.shape[0]:
            raise DataError(
                f"{image.shape[0]} channels and windows for {len(self.window)}",
                hint="give the channels that the windows were planned for",
            )
        shape = (-1,) + (1,) * (image.ndim - 1)
        low = torch.tensor([w[0] for w in self.window], dtype=torch.float32).view(shape)
        high = torch.tensor([w[1] for w in self.window], dtype=torch.float32).view(shape)
        return ((image - low) * (2 / (high - low)) - 1).clamp(-1, 1)

    @staticmethod
    def _standardise(image: torch.Tensor) -> torch.Tensor:
        axes = tuple(range(1, image.ndim))
        mean = image.mean(dim=axes, keepdim=True)
        std = image.std(dim=axes, keepdim=True, correction=0)
        return (image - mean) / std.clamp_min(1e-8)
