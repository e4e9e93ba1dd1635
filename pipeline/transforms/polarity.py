"""Dark on light or light on dark: pictures brought to one polarity."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from pipeline.planning.intensities import light_ground


class Polarityd(MapTransform):
    """Turn images `(C, *S)` that are dark on light, so that in all of them objects are light.

    An image counts as dark on light where its median, over all channels, lies above the middle
    between its percentiles 0.5 and 99.5: most of it is background. Its values are then mirrored
    at that middle, so it keeps its range; twice turned is the image itself.

    Args:
        keys: Keys of tensors `(C, *S)`.
        polarity: Whether to look at all; a plan says so for a set of both polarities.
        allow_missing_keys: Skip keys that a case does not have.
    """

    def __init__(
        self, keys: KeysCollection, polarity: bool = True, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.polarity = polarity

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with light objects."""
        case = dict(data)
        for key in self.key_iterator(case) if self.polarity else ():
            values = np.asarray(torch.as_tensor(case[key]).cpu())
            turned_at = light_ground(values)
            if turned_at is not None:
                case[key] = turned_at - case[key].to(torch.float32)
        return case
