"""How a prediction is to run so that it stays within a limit of memory."""

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise, permutations, product
from math import prod
from typing import Final

import torch

from pipeline.errors import ResourceError
from pipeline.inferers.cells import cut_layout, peak_voxels, windows_in
from pipeline.inferers.layout import Box, Layout

GIB: Final = 2**30
WORTH: Final = 0.9  # what another order of windows than MONAI's must at least save to be taken
SPARE: Final = 0.05  # of the limit, for what nobody counted
KINDS: Final = (torch.float32, torch.float16)  # of the sums; the second is the last resort


@dataclass(frozen=True, slots=True)
class Needs:
    """What a prediction needs besides the sums.

    Attributes:
        channels: K; of all members of an ensemble that share a layout together.
        held: Bytes that the process has now: libraries, weights, the image.
        engine: Bytes of the engine's activations.
        windows: Bytes of windows and logits on their way.
        output: Bytes of masks and probabilities.
        rows: Bytes for each voxel that is held until the source's rows are interpolated; 0 where
            labels go back.
        after: Bytes of what is done once windows, sums and rows are gone.
    """

    channels: int
    held: int = 0
    engine: int = 0
    windows: int = 0
    output: int = 0
    rows: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How to go through a grid.

    Attributes:
        axes: The order of windows, the slowest axis first.
        tiles: Regions that are gone through one after the other.
        windows: That are computed; those at the border of tiles count more than once.
        dtype: Of the sums.
        parts: Bytes at the peak, by what they are for.
        limit: Bytes that may not be exceeded; None: no limit.
    """

    axes: tuple[int, ...]
    tiles: tuple[Box, ...]
    windows: int
    dtype: torch.dtype
    parts: dict[str, int] = field(default_factory=dict)
    limit: int | None = None

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return sum(self.parts.values())

    @property
    def record(self) -> dict[str, object]:
        """What `CASE.json` keeps."""
        return {
            "axes": list(self.axes),
            "tiles": len(self.tiles),
            "windows": self.windows,
            "sums": str(self.dtype).removeprefix("torch."),
            "gib": {name: round(number / GIB, 3) for name, number in self.parts.items()},
            "limit_gib": None if self.limit is None else round(self.limit / GIB, 3),
        }

    def line(self) -> str:
        """The plan in one line."""
        parts = ", ".join(f"{name} {number / GIB:.2f}" for name, number in self.parts.items())
        tiles = "" if len(self.tiles) == 1 else f" in {len(self.tiles)} tiles"
        half = "" if self.dtype == torch.float32 else ", sums in half precision"
        return f"{self.windows} windows{tiles}{half}, {self.total / GIB:.2f} GiB: {parts}"


def plan_memory(
    layout: Layout,
    needs: Needs,
    limit: int | None = None,
    *,
    whole: bool = False,
    others: Sequence[Layout] = (),
) -> MemoryPlan:
    """Choose the order of windows, tiles and the type of sums that fit into a limit.

    Without a limit the order of windows is MONAI's, unless another one holds clearly less: a
    long scan is gone through along its length. With one, the plane across that is cut into as
    few tiles as will do, whose borders cost windows again; sums in half precision come last.

    Args:
        layout: The windows.
        needs: Everything else.
        limit: Bytes.
        whole: The plane may not be cut into tiles.
        others: Layouts that are gone through beside this one, each with sums and rows of its own
            for as many channels; they are not cut into tiles.

    Raises:
        ResourceError: Nothing fits; the smallest limit that would do is named.
    """
    axes = _order(layout)
    smallest: MemoryPlan | None = None
    for dtype in KINDS:
        for tiles in islice(_tilings(layout, axes), 1 if whole else None):
            plan = _plan(layout, needs, axes, tiles, dtype, limit, others)
            if limit is None or plan.total <= limit * (1 - SPARE):
                return plan
            smallest = plan if smallest is None or plan.total < smallest.total else smallest
    assert smallest is not None
    needed = smallest.total / (1 - SPARE) / GIB
    raise ResourceError(
        f"{(limit or 0) / GIB:.2f} GiB are too few: {smallest.line()}",
        hint=limit_hint(needed),
    )


def limit_hint(gib: float, more: str = "") -> str:
    """What to give instead of a limit that is too low: of the call, or of one of its processes."""
    number = f"{more}{gib + 0.05:.1f}"
    if multiprocessing.parent_process() is not None:
        return f"each of --jobs needs {number} GiB: give more --max-ram or fewer --jobs"
    return f"give --max-ram {number}" if not more else f"give --max-ram of {number}"


def _order(layout: Layout) -> tuple[int, ...]:
    """The order of windows with the fewest unfinished cells; MONAI's where it hardly matters."""
    usual = tuple(range(len(layout.shape)))
    if layout.flat is not None:  # slices share no cells: their order changes no sum
        return (layout.flat, *(a for a in usual if a != layout.flat))
    peaks = {axes: peak_voxels(layout, layout.region, axes) for axes in permutations(usual)}
    best = min(peaks, key=lambda axes: (peaks[axes], axes))
    return best if peaks[best] < WORTH * peaks[usual] else usual


def _tilings(layout: Layout, axes: tuple[int, ...]) -> Iterator[tuple[Box, ...]]:
    """Ever finer cuts of the plane across the slowest axis, the longest tile's side first."""
    edges = [[low for low, _ in cells.spans] for cells in cut_layout(layout, layout.region)]
    region = layout.region
    pieces = [1] * len(axes)
    while True:
        sides = [
            _cut(region[a], edges[a], pieces[a]) if a != axes[0] else [region[a]]
            for a in range(len(axes))
        ]
        yield tuple(product(*sides))
        longest = [(max(h - low for low, h in sides[a]), -a) for a in axes[1:]]
        for _, negative in sorted(longest, reverse=True):
            if pieces[-negative] < len(edges[-negative]):
                pieces[-negative] += 1
                break
        else:
            return


def _cut(span: tuple[int, int], edges: Sequence[int], pieces: int) -> list[tuple[int, int]]:
    """Cut a span at edges of cells into pieces about as long."""
    low, high = span
    wanted = [low + (high - low) * i / pieces for i in range(1, pieces)]
    cuts = sorted({low, high, *(min(edges, key=lambda e, w=w: abs(e - w)) for w in wanted)})  # type: ignore[misc]
    return list(pairwise(cuts))


def _plan(
    layout: Layout,
    needs: Needs,
    axes: tuple[int, ...],
    tiles: tuple[Box, ...],
    dtype: torch.dtype,
    limit: int | None,
    others: Sequence[Layout],
) -> MemoryPlan:
    voxels, rows = _unfinished(layout, axes, tiles)
    for other in others:
        more, longer = _unfinished(other, axes, [other.region])
        voxels, rows = voxels + more, rows + longer
    parts = {
        "held": needs.held,
        "engine": needs.engine,
        "windows": needs.windows,
        "sums": voxels * needs.channels * dtype.itemsize,
        "rows": rows * needs.rows,
        "output": needs.output,
    }
    passing = parts["windows"] + parts["sums"] + parts["rows"]
    parts["postprocess"] = max(0, needs.after - passing)
    return MemoryPlan(
        axes,
        tiles,
        sum(windows_in(layout, tile) for tile in tiles),
        dtype,
        {name: number for name, number in parts.items() if number},
        limit,
    )


def _unfinished(layout: Layout, axes: Sequence[int], tiles: Sequence[Box]) -> tuple[int, int]:
    """The most voxels of unfinished cells, and of a row of windows across the slowest axis."""
    voxels = max(peak_voxels(layout, tile, axes) for tile in tiles)
    plane = max(prod(h - low for a, (low, h) in enumerate(t) if a != axes[0]) for t in tiles)
    return voxels, plane * layout.patch[axes[0]]
