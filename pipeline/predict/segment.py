"""One case through one or several models, window by window, to a mask on its own grid."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from pipeline.engines.threads import torch_held_back
from pipeline.errors import ResourceError
from pipeline.inferers.masks import Masks
from pipeline.inferers.memory import MemoryPlan
from pipeline.inferers.sweep import Sweep
from pipeline.inferers.target import Target
from pipeline.predict.computing import Computing, Engines
from pipeline.predict.inputs import InputCase
from pipeline.predict.members import Meeting, Member, blocks_of, meet, opened
from pipeline.predict.model import Model
from pipeline.predict.options import SegmentOptions
from pipeline.predict.preparing import Prepared, prepare, read_case, refuse_other_input
from pipeline.transforms.grid import restore_grid
from pipeline.transforms.reader import warnings_of

__all__ = ["Segmented", "Stages", "read_case", "refuse_other_input", "segment"]

GPU_FULL: Final = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


@dataclass
class Segmented:
    """A case's mask and what led to it.

    Attributes:
        mask: Integers of the label files on the source's grid, regions in the last axis.
        affine: Of the source, index to RAS mm; None for a picture.
        probabilities: `(*S, C)` uint8 in steps of 1/255 on the source's grid: the classes that
            were asked for, in their order.
        seconds: Per stage.
        warnings: What was unusual.
        engines: Name and precision for each model.
        why: How the engines were chosen.
        windows: Computed, of all models together.
        memory: How the grid was gone through; None where no window was.
        box: First and last voxel of the body on the first model's grid; None without.
        peak_gib: Memory that the process took.
    """

    mask: NDArray[Any]
    affine: NDArray[np.float64] | None
    probabilities: NDArray[np.uint8] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    engines: tuple[tuple[str, str], ...] = ()
    why: tuple[str, ...] = ()
    windows: int = 0
    memory: MemoryPlan | None = None
    box: tuple[tuple[int, int], ...] | None = None
    peak_gib: float = 0.0


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
    options: SegmentOptions | None = None,
    *,
    image: MetaTensor | None = None,
    engines: Engines | None = None,
) -> Segmented:
    """Predict a case; several models give the mean of their probabilities.

    Logits exist for unfinished voxels only; what is finished becomes labels on the source's grid
    at once.

    Args:
        case: Its files.
        models: With the same labels.
        options: How.
        image: What `read_case` made of the files; None: they are read now.
        engines: Kept open from case to case; None: opened for this one.

    Raises:
        DataError: The case can't be read, or is of another modality or number of channels.
        ResourceError: It does not fit into the limit of memory, or an engine is not there.
    """
    chosen, stages = options or SegmentOptions(), Stages()
    source = read_case(case) if image is None else image
    with Engines() if engines is None else nullcontext(engines) as kept:
        levels = [kept.at_level(model, chosen.level) for model in models]
        members = [Member(m, prepare(case.id, source, m, chosen)) for m in levels]
        stages.done("read")
        found = _computed_or_again(case.id, meet(members, chosen), kept, chosen, stages)
    masks, computing = found.masks, found.computing
    mask, shares = masks.classes, masks.probabilities
    if members[0].prepared.target is None:
        mask, shares = _upright(mask, members[0], source), _upright(shares, members[0], source)
    stages.done("restore")
    picture = source.ndim == 3
    return Segmented(
        mask,
        None if picture else np.asarray(source.meta["original_affine"], dtype=np.float64),
        shares,
        stages.seconds,
        _warnings(source, masks),
        tuple((c.engine.name, c.engine.precision) for c in computing),
        tuple(line for c in computing for line in c.why),
        found.windows,
        found.plan,
        members[0].prepared.box,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Computed:
    """Masks of a case, and what computed them."""

    masks: Masks
    computing: Sequence[Computing]
    plan: MemoryPlan
    windows: int


def _computed_or_again(
    case: str, meeting: Meeting, engines: Engines, options: SegmentOptions, stages: Stages
) -> _Computed:
    """Compute a case; once more with little on the GPU where its memory was too small.

    Raises:
        ResourceError: It is too small all the same, or as `opened`.
    """
    try:
        return _computed(meeting, engines, options, stages)
    except RuntimeError as error:
        if not _is_gpu_full(error):
            raise
    # not in the handler: its traceback holds tensors
    engines.close()
    torch.cuda.empty_cache()
    engines.tell("the GPU's memory is too small: again window by window, sums in host memory")
    try:
        return _computed(meeting, engines, options, stages, frugal=True)
    except RuntimeError as error:
        if not _is_gpu_full(error):
            raise
        raise ResourceError(
            f"{case}: out of memory on the GPU",
            hint="end what else computes there, or give --device cpu",
        ) from error


def _computed(
    meeting: Meeting,
    engines: Engines,
    options: SegmentOptions,
    stages: Stages,
    *,
    frugal: bool = False,
) -> _Computed:
    computing, plan = opened(meeting, engines, options, frugal=frugal)
    stages.done("engine")
    first = meeting.members[0]
    masks = _masks(first.model, first.prepared, options, rows=meeting.rows)
    sweeps: list[Sweep] = []
    with torch_held_back():  # sums take one core; the engine takes its own threads
        masks.fill(blocks_of(meeting, computing, plan, sweeps, frugal=frugal))
    stages.done("network")
    return _Computed(masks, computing, plan, sum(sweep.windows for sweep in sweeps))


def _is_gpu_full(error: RuntimeError) -> bool:
    """Whether an error says that a GPU's memory was too small."""
    told = any(words in str(error) for words in GPU_FULL)
    return told or isinstance(error, torch.OutOfMemoryError)


def _masks(model: Model, prepared: Prepared, options: SegmentOptions, *, rows: bool) -> Masks:
    """What the blocks of a case become."""
    facts = model.facts
    softmax = facts["head"] == "softmax"
    target = prepared.target or Target.same(prepared.layout.shape)
    integers = [0, *(group[0] for group in facts["values"])]
    names = list(facts["classes"])
    wanted = options.probabilities
    chosen = [] if wanted is None else [names.index(name) for name in wanted or names]
    return Masks(
        facts["head"],
        len(names) + softmax,
        target.own if rows else target,
        integers,
        [number + softmax for number in chosen],
    )


def _upright(values: Any, member: Member, source: MetaTensor) -> Any:
    """Bring `(*S[, C])` from an upright grid back to the slices of a tilted series."""
    if values is None:
        return None
    channels = values if values.ndim == 4 else values[..., None]
    restored = restore_grid(
        np.moveaxis(channels, -1, 0),
        member.prepared.affine,
        np.asarray(source.meta["original_affine"], dtype=np.float64),
        [int(n) for n in source.meta["spatial_shape"]],
    )
    return np.moveaxis(restored, 0, -1) if values.ndim == 4 else restored[0]


def _warnings(source: MetaTensor, masks: Masks) -> list[str]:
    """What the reader said, and what the network should not have given."""
    told = warnings_of(source.meta)
    if not masks.finite:
        told.append("the network gave values that are no numbers: the mask may be wrong there")
    return told
