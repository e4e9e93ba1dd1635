"""Calibration windows from a manifest, for a model whose run keeps none."""

from collections.abc import Hashable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.engines.calibration import affordable, cached_path, distinct, write_calibration
from pipeline.errors import DataError, InvalidValueError
from pipeline.predict.inputs import InputCase, find_cases
from pipeline.predict.model import Model
from pipeline.progress import progress
from pipeline.transforms.patches import BalancedCropd, PadToPatchd
from pipeline.transforms.preparation import image_preparation

NUMBER: Final = 8
DRAWN: Final = 4  # places tried for each window; the one with most contrast is taken


def calibration_of(model: Model, manifest: str, *, quiet: bool = False) -> list[Tensor]:
    """Cut windows out of a manifest's training cases, and keep them for later predictions.

    They go to the cache, under the weights' hash: the model's folder is left as it is.

    Args:
        model: Whose preparation and window are used.
        manifest: Its path or name; a set without training cases gives any.
        quiet: No progress bar.

    Raises:
        DataError: The manifest or a case can't be read.
    """
    try:
        cases = find_cases(manifest, cases="train")
    except (DataError, InvalidValueError):  # no training cases, or no split that tells them
        cases = find_cases(manifest, cases="all")
    shape = (model.network.in_channels, *model.plan["patch"])
    number = affordable(NUMBER, shape)
    chosen = [cases[i * len(cases) // number] for i in range(number)]
    drawing = _Drawing(model)
    windows = distinct(
        [drawing.window(case) for case in progress(chosen, "calibration", quiet=quiet)]
    )
    write_calibration(windows, cached_path(model.digest))
    return windows


class _Drawing:
    """Draws windows of a model, always the same ones."""

    def __init__(self, model: Model) -> None:
        plan, network = model.plan, model.network
        patch: Sequence[int] = plan["patch"]
        border = patch[0] - network.output_size(patch[0])
        self.prepare = image_preparation(plan)
        self.pad = PadToPatchd("image", patch, plan["slice_axis"], border)
        self.crop = BalancedCropd(
            "image", patch, [1.0], plan["slice_axis"], border, plan.get("slices", 1)
        )
        self.crop.set_random_state(seed=0)

    def window(self, case: InputCase) -> Tensor:
        """One window `(C, *patch)`."""
        files: dict[Hashable, Any] = {"image": [str(p) for p in case.images]}
        read = self.prepare({**files, "series": case.series})["image"]
        padded = self.pad({"image": torch.as_tensor(read)})
        drawn = [self.crop({**padded, "indices": []})["image"] for _ in range(DRAWN)]
        best: Tensor = max(drawn, key=lambda window: float(window.float().std()))
        return torch.as_tensor(best).float()
