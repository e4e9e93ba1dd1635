"""From a case's files to the network's input, by a plan alone; the configs spell out the same."""

from collections.abc import Mapping
from typing import Any

from monai.transforms import Compose

from pipeline.transforms.channels import ToChannelsd
from pipeline.transforms.contrast import Contrastd
from pipeline.transforms.grid import ToGridd
from pipeline.transforms.normalise import Normalised
from pipeline.transforms.polarity import Polarityd
from pipeline.transforms.reader import ReadVolumed


def image_preparation(plan: Mapping[str, Any], *, any_unit: bool = False) -> Compose:
    """Return the transforms that read `image`, bring it to the planned grid and scale it.

    Args:
        plan: Of a run; a run that is older than a step lacks its value, and does without it.
        any_unit: Accept a CT whose header says that its values are not HU.
    """
    return Compose(
        [
            ReadVolumed("image"),
            ToGridd("image", spacing=plan["spacing"]),
            ToChannelsd("image", channels=plan.get("channels")),
            Polarityd("image", polarity=plan.get("polarity", False)),
            Normalised(
                "image",
                normalisation=plan["normalisation"],
                window=plan["window"],
                statistics=plan.get("statistics"),
                any_unit=any_unit,
            ),
            Contrastd("image", contrast=plan.get("contrast")),
        ]
    )
