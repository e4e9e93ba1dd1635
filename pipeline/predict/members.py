"""Models that predict a case together: where they meet, what they need, and their blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from pipeline.errors import GeometryError, ResourceError
from pipeline.inferers.ensemble import mean_blocks
from pipeline.inferers.layout import Box
from pipeline.inferers.memory import GIB, SPARE, MemoryPlan, Needs, plan_memory
from pipeline.inferers.rows import SourceRows, needed_span
from pipeline.inferers.sweep import Block, Sweep
from pipeline.predict.computing import Computing, Engines
from pipeline.predict.model import Model
from pipeline.predict.options import SegmentOptions
from pipeline.predict.preparing import Prepared
from pipeline.predict.resident import (
    Trimmer,
    added_bytes,
    release_free_memory,
    resident_bytes,
)
from pipeline.predict.windows import batch_for, spread_windows

TRIED = 2  # batches that an engine's memory is measured on
HOLES_BYTES = 2**28  # of free memory that the heap may keep between windows
MENDING = 8  # bytes a voxel, of a class that fills the scan
ON_GPU = 0.8  # of a GPU's free memory that sums may take


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A model, and the case as it sees it."""

    model: Model
    prepared: Prepared


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """How members come together.

    Attributes:
        members: At least one.
        rows: Whether logits go to the source's grid, row by row, before classes are decided.
        linear: Whether they are interpolated on the way.
        apart: Whether the members' grids or windows differ, so that they can meet there only.
    """

    members: tuple[Member, ...]
    rows: bool
    linear: bool
    apart: bool

    @property
    def channels(self) -> int:
        """K of the logits."""
        facts = self.members[0].model.facts
        return len(facts["classes"]) + int(facts["head"] == "softmax")

    @property
    def slowest(self) -> Prepared:
        """The member whose windows set the order of all: slices go one by one."""
        prepared = [member.prepared for member in self.members]
        return next((p for p in prepared if p.layout.flat is not None), prepared[0])


def meet(members: Sequence[Member], options: SegmentOptions) -> Meeting:
    """Say where members meet.

    Raises:
        GeometryError: They have different grids and none of them is along the source's axes, or
            logits are to be interpolated on one that is not.
    """
    first = members[0].prepared
    apart = not all(
        m.prepared.layout == first.layout and np.allclose(m.prepared.affine, first.affine)
        for m in members[1:]
    )
    linear = options.resample == "logits" and first.image.ndim == 4
    if (apart or linear) and first.target is None:
        what = "logits can't be interpolated" if linear else "models of different grids can't meet"
        raise GeometryError(
            f"{what} on the slices of a tilted series",
            hint="give --regularize to predict on an even grid",
        )
    return Meeting(tuple(members), apart or linear, linear, apart)


def opened(
    meeting: Meeting, engines: Engines, options: SegmentOptions, *, frugal: bool = False
) -> tuple[list[Computing], MemoryPlan]:
    """Open an engine for each member and plan the memory; a batch of one where it is tight.

    Args:
        meeting: The members.
        engines: Those open already.
        options: How the case is predicted.
        frugal: Batches of one whatever the plan.

    Raises:
        ResourceError: The limit is too low, whatever the plan.
    """
    limit = None if options.max_ram_gib is None else int(options.max_ram_gib * GIB)
    if limit is not None:
        release_free_memory()
    batches = [
        1 if frugal else batch_for(m.prepared.layout, m.model.device, meeting.channels, limit)
        for m in meeting.members
    ]
    computing = _engines_of(meeting, engines, options, batches)
    try:
        plan = _planned(meeting, computing, options, limit)
    except ResourceError:
        if limit is None or max(batches) == 1:
            raise
        engines.drop([one for one in computing if one.engine.batch > 1])  # what they hold counts
        computing = _engines_of(meeting, engines, options, [1] * len(batches))
        plan = _planned(meeting, computing, options, limit)
    if limit is not None:
        engines.tell(plan.line())
    return computing, plan


def _engines_of(
    meeting: Meeting, engines: Engines, options: SegmentOptions, batches: Sequence[int]
) -> list[Computing]:
    return [
        engines.engine_of(m.model, m.prepared.image, m.prepared.layout, batch, options, number)
        for number, (m, batch) in enumerate(zip(meeting.members, batches, strict=True))
    ]


def _planned(
    meeting: Meeting, computing: Sequence[Computing], options: SegmentOptions, limit: int | None
) -> MemoryPlan:
    if limit is not None:
        release_free_memory()  # what engines were tried or made with is no need of this case
    held = resident_bytes()
    activations = 0
    if limit is not None:
        for member, one in zip(meeting.members, computing, strict=True):
            activations += added_bytes(lambda m=member, c=one: _try(m, c))  # type: ignore[misc]
    slowest = meeting.slowest
    others = [m.prepared.layout for m in meeting.members if m.prepared is not slowest]
    # those of one layout count as one with the channels of all
    channels = meeting.channels * (1 if meeting.apart else len(meeting.members))
    needs = Needs(
        channels,
        held=held,
        engine=activations,
        windows=sum(
            4 * 3 * one.engine.batch * m.prepared.window_values
            for m, one in zip(meeting.members, computing, strict=True)
        ),
        output=_output_bytes(meeting, options),
        after=MENDING * _output_voxels(meeting) if options.mended else 0,
        rows=4 * channels if meeting.rows else 0,
    )
    apart = meeting.apart
    return plan_memory(slowest.layout, needs, limit, whole=apart, others=others if apart else ())


@torch.no_grad()
def _try(member: Member, computing: Computing) -> None:
    """Run a few batches, for what they take: all that the engine computes at once."""
    window = next(spread_windows(member.prepared.image, member.prepared.layout))
    batch = window.expand(computing.engine.batch, *window.shape)
    number = max(TRIED, getattr(computing.engine, "streams", 0) + 1)  # one more is on its way
    for _ in computing.engine.run(batch.contiguous() for _ in range(number)):
        pass


def _output_bytes(meeting: Meeting, options: SegmentOptions) -> int:
    """Bytes of mask and probabilities on the source's grid."""
    first = meeting.members[0]
    target, facts = first.prepared.target, first.model.facts
    regions = meeting.channels if facts["head"] == "sigmoid" else 1
    wide = regions == 1 and max(group[0] for group in facts["values"]) > 255
    named = options.probabilities
    shares = 0 if named is None else len(named) or len(facts["classes"])
    mask = regions * (2 if wide else 1)
    # brought back to tilted slices by way of a turned copy, one after the other
    copies = 0 if target else mask + shares + max(mask, shares)
    return _output_voxels(meeting) * (mask + shares + copies)


def _output_voxels(meeting: Meeting) -> int:
    """Voxels of the source's grid."""
    prepared = meeting.members[0].prepared
    return prod(prepared.target.shape if prepared.target else prepared.layout.shape)


def blocks_of(
    meeting: Meeting,
    computing: Sequence[Computing],
    plan: MemoryPlan,
    sweeps: list[Sweep],
    *,
    frugal: bool = False,
) -> Iterator[Block]:
    """Yield the blocks of a case, on the network's grid or on the source's.

    Args:
        meeting: The members.
        computing: Their engines.
        plan: How to go through the grid.
        sweeps: Filled with each member's, which counts its windows.
        frugal: Keep no sums on a GPU.
    """
    bar = (
        None if plan.limit is None else int(plan.limit * (1 - SPARE)) - plan.parts.get("engine", 0)
    )
    trim = Trimmer(HOLES_BYTES, bar)
    for member, one in zip(meeting.members, computing, strict=True):
        prepared = member.prepared
        device = torch.device("cpu") if frugal else _sums_device(member.model.device, plan)
        sweeps.append(
            Sweep(prepared.image, prepared.layout, one.engine, plan.axes, device, plan.dtype, trim)
        )
    head = meeting.members[0].model.facts["head"]
    for tile in plan.tiles:
        parts = [
            _member_blocks(meeting, member, sweep, tile, plan)
            for member, sweep in zip(meeting.members, sweeps, strict=True)
        ]
        yield from parts[0] if len(parts) == 1 else mean_blocks(parts, head)


def _member_blocks(
    meeting: Meeting, member: Member, sweep: Sweep, tile: Box, plan: MemoryPlan
) -> Iterator[Block]:
    """The blocks of one member within a tile."""
    if not meeting.rows:
        return sweep.blocks(tile)
    target, region = member.prepared.target, member.prepared.layout.region
    assert target is not None
    columns = None
    if not meeting.apart:
        columns = [target.inside(axis, span) for axis, span in enumerate(tile)]
        if meeting.linear:  # between two tiles lies what both are needed for
            region = tuple(
                needed_span(target, axis, part, span)
                for axis, (part, span) in enumerate(zip(columns, region, strict=True))
            )
        else:
            region = tile
    rows = SourceRows(
        region,
        target,
        plan.axes[0],
        member.model.facts["head"],
        linear=meeting.linear,
        columns=columns,
        whole=meeting.apart,
    )
    return rows.blocks(sweep.blocks(region))


def _sums_device(device: torch.device, plan: MemoryPlan) -> torch.device:
    """Where sums are kept: on the GPU if they fit there beside the network."""
    if device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    # blocks that torch keeps for the next tensors count as taken there
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    needed = plan.parts.get("sums", 0) + plan.parts.get("rows", 0)
    return device if needed <= ON_GPU * free else torch.device("cpu")
