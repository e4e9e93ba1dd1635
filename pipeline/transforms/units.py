"""Values in another unit than the one a plan was made for."""

from collections.abc import Mapping
from typing import Any

from monai.data import MetaTensor

from pipeline.errors import DataError


def refuse_no_hu(image: Any) -> None:
    """Refuse a CT whose header says that its values are not HU, before a window in HU cuts them.

    Args:
        image: A tensor; only a `MetaTensor` can say what its values are.

    Raises:
        DataError: No rescale, or a RescaleType other than HU.
    """
    meta = image.meta if isinstance(image, MetaTensor) else {}
    facts = meta.get("facts")
    if not isinstance(facts, Mapping) or facts.get("hu", True):
        return
    kind = facts.get("rescale_type")
    said = f"RescaleType {kind}" if kind not in (None, "HU") else "no rescale"
    raise DataError(
        f"{meta.get('filename_or_obj')}: a CT whose values are not HU ({said}), and the plan has "
        "a window in HU",
        hint="export it in HU; --normalisation zscore trains without a window, --force-modality "
        "predicts all the same",
    )
