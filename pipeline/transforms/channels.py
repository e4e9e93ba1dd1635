"""Grey and colour pictures of one set brought to the same channels."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from pipeline.errors import DataError, InvalidValueError

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's


class ToChannelsd(MapTransform):
    """Bring pictures `(1, *S)` or `(3, *S)` to `channels`: luminance, or grey three times.

    Args:
        keys: Keys of tensors `(C, *S)`.
        channels: 1 or 3; None leaves the pictures as they are.
        allow_missing_keys: Skip keys that a case does not have.

    Raises:
        InvalidValueError: Another number.
        DataError: At the call, for an image that is neither grey nor in colours.
    """

    def __init__(
        self, keys: KeysCollection, channels: int | None = None, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if channels not in (None, 1, 3):
            raise InvalidValueError(f"channels is {channels}", hint="give 1, 3 or null")
        self.channels = channels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with pictures of the same channels."""
        case = dict(data)
        for key in self.key_iterator(case) if self.channels else ():
            image = case[key]
            found = image.shape[0]
            if found not in (1, 3):
                raise DataError(
                    f"{case.get('case', key)} has {found} channels",
                    hint="only grey pictures and RGB ones are brought together",
                )
            if found < self.channels:
                case[key] = image.expand(3, *image.shape[1:]).clone()
            elif found > self.channels:
                case[key] = _luminance(image.to(torch.float32))
        return case


def _luminance(image: torch.Tensor) -> torch.Tensor:
    """`(3, *S)` to `(1, *S)`, in the picture's own unit."""
    red, green, blue = (weight * image[c : c + 1] for c, weight in enumerate(LUMINANCE))
    return red + green + blue
