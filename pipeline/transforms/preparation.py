"""From a case's files to the network's input, by a plan alone; the configs spell out the same."""

from collections.abc import Mapping
from typing import Any

from monai.transforms import Compose

from pipeline.transforms.grid import ToGridd
from pipeline.transforms.normalise import Normalised
from pipeline.transforms.reader import ReadVolumed


def image_preparation(plan: Mapping[str, Any]) -> Compose:
    """Return the transforms that read `image`, bring it to the planned grid and scale it."""
    return Compose(
        [
            ReadVolumed("image"),
            ToGridd("image", spacing=plan["spacing"]),
            Normalised("image", normalisation=plan["normalisation"], window=plan["window"]),
        ]
    )
