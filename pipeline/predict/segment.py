"""One case through one or several models: read, window by window, back to the source's grid."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.inferers import window_inferer
from pipeline.predict.inputs import InputCase
from pipeline.predict.model import Model
from pipeline.transforms.classes import decide, to_integers
from pipeline.transforms.grid import restore_grid
from pipeline.transforms.preparation import image_preparation


@dataclass
class Segmented:
    """A case's mask and what led to it.

    Attributes:
        mask: Integers of the label files on the source's grid, regions in the last axis.
        affine: Of the source, index to RAS mm; None for a picture.
        probabilities: `(K, *S)` on the source's grid, if asked for.
        seconds: Per stage.
        warnings: What was unusual.
    """

    mask: NDArray[Any]
    affine: NDArray[np.float64] | None
    probabilities: NDArray[np.float32] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Stages:
    """Adds up seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def done(self, stage: str) -> None:
        """Count the time since the last call for `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self._last, 4)
        self._last = now


def segment(
    case: InputCase,
    models: Sequence[Model],
    *,
    overlap: float | None = None,
    probabilities: bool = False,
    force_modality: bool = False,
) -> Segmented:
    """Predict a case; several models give the mean of their probabilities.

    Raises:
        DataError: The case can't be read, or is of another modality or number of channels.
    """
    stages = Stages()
    parts: list[tuple[torch.Tensor, MetaTensor]] = []
    files = {"image": [str(p) for p in case.images], "series": case.series}
    read = image_preparation(models[0].plan)(files, end=1)
    for model in models:
        image = read["image"]
        refuse_other_input(case.id, image.shape, image.meta, model.facts, force=force_modality)
        image = image_preparation(model.plan)(read, start=1)["image"]
        stages.done("read")
        parts.append((_logits(model, image, overlap), image))
        stages.done("network")
    logits, grid = parts[0] if len(parts) == 1 else _mean(parts, models[0].facts["head"])
    return _finish(logits, grid, models[0], stages, probabilities)


def _mean(
    parts: Sequence[tuple[torch.Tensor, MetaTensor]], head: str
) -> tuple[torch.Tensor, MetaTensor]:
    """Logits of the mean probabilities, on the grid that all share, else on the source's."""
    image = parts[0][1]
    shared = all(
        p.shape == image.shape and np.allclose(p.affine, image.affine) for _, p in parts[1:]
    )
    values = [_probabilities(logits, head) for logits, _ in parts]
    if not shared:
        values = [
            torch.from_numpy(_to_source(v.cpu().numpy(), p))
            for v, (_, p) in zip(values, parts, strict=True)
        ]
        image = source_grid(image)
    mean = torch.stack(values).mean(dim=0)
    logits = torch.logit(mean, eps=1e-7) if head == "sigmoid" else mean.clamp_min(1e-12).log()
    return logits, image


def source_grid(image: MetaTensor) -> MetaTensor:
    """An empty image on the grid of the source."""
    shape = (1, *(int(n) for n in image.meta["spatial_shape"]))
    affine = torch.as_tensor(image.meta["original_affine"])
    return MetaTensor(torch.zeros(1).expand(shape), meta={**image.meta, "affine": affine})


def refuse_other_input(
    case: str,
    shape: Sequence[int],
    meta: Mapping[str, Any],
    facts: Mapping[str, Any],
    *,
    force: bool = False,
) -> None:
    """Refuse an image `(C, *S)` that a model was not made for.

    Args:
        case: Its id.
        shape: Of the image.
        meta: Of the image; `modality` where its file tells it.
        facts: The model's.
        force: Accept another modality.

    Raises:
        DataError: Another number of channels or axes, or another modality.
    """
    wanted = len(facts["modality"])
    if shape[0] != wanted:
        raise DataError(
            f"{case} has {shape[0]} channels, the model takes {wanted}",
            hint=f"give {', '.join(facts['modality'])}",
        )
    if len(shape) - 1 != facts["dims"]:
        kinds = {2: "a picture", 3: "a volume"}
        raise DataError(
            f"{case} is {kinds.get(len(shape) - 1, 'no image')}, the model was trained on "
            f"{'volumes' if facts['dims'] == 3 else 'pictures'}",
            hint="use a model of the right kind",
        )
    modality = str(meta.get("modality") or "")
    if modality and not force and modality not in facts["modality"]:
        raise DataError(
            f"{case} is {modality}, the model was trained on {', '.join(facts['modality'])}",
            hint="give --force-modality to predict all the same",
        )


@torch.inference_mode()
def _logits(model: Model, image: MetaTensor, overlap: float | None) -> torch.Tensor:
    """Logits `(K, *S)` on the network's grid."""
    plan = model.plan
    inferer = window_inferer(
        plan["patch"], plan["overlap"] if overlap is None else overlap, plan["slice_axis"]
    )
    batch = image.as_tensor()[None].to(model.device)
    with torch.autocast(model.device.type, enabled=model.device.type == "cuda"):
        logits = inferer(batch, model.network)
    assert isinstance(logits, torch.Tensor)
    return logits[0].float()


def _probabilities(logits: torch.Tensor, head: str) -> torch.Tensor:
    return logits.sigmoid() if head == "sigmoid" else logits.softmax(dim=0)


def _to_source(values: NDArray[Any], image: MetaTensor) -> NDArray[Any]:
    if image.ndim == 3:
        return values
    return restore_grid(
        values,
        np.asarray(image.affine, dtype=np.float64),
        np.asarray(image.meta["original_affine"], dtype=np.float64),
        [int(n) for n in image.meta["spatial_shape"]],
    )


def _finish(
    logits: torch.Tensor, image: MetaTensor, model: Model, stages: Stages, probabilities: bool
) -> Segmented:
    """From logits to the mask in the file's integers."""
    head = model.facts["head"]
    classes = _to_source(decide(logits, head).cpu().numpy(), image)
    mask = to_integers(classes, model.facts["values"], head)
    kept = None
    if probabilities:
        kept = _to_source(_probabilities(logits, head).cpu().numpy(), image)
    stages.done("restore")
    affine = None
    if image.ndim == 4:
        affine = np.asarray(image.meta["original_affine"], dtype=np.float64)
    told = [w for w in str(image.meta.get("warnings") or "").split("; ") if w]
    return Segmented(mask, affine, kept, stages.seconds, told)
