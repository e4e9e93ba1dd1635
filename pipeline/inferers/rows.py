"""Logits on the source's grid, row by row, while the network is still at work."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from pipeline.inferers.layout import Box, Span
from pipeline.inferers.pages import own_pages
from pipeline.inferers.sweep import Block
from pipeline.inferers.target import Target

SURE: Final = 40.0  # a logit whose class has all the probability that float32 can tell


@dataclass(slots=True, eq=False)
class _Slab:
    """Rows of cells that finish together: `(K, rows, *plane)`."""

    values: Tensor
    missing: int  # voxels


class SourceRows:
    """Brings blocks on a network's grid to the source's grid, one row of voxels after another.

    Between voxels logits are interpolated linearly, or those of the nearest voxel are taken.
    Only the rows that are unfinished, or that the next source row still needs, are held.

    Args:
        region: What the blocks fill together.
        target: The source's grid.
        axis: The axis along which the blocks proceed: their slowest one.
        head: `softmax` or `sigmoid`.
        linear: Interpolate.
        columns: The part of the source to yield, its axes in the network's order; None: all.
        whole: Also yield what lies outside of the region, as background.
    """

    def __init__(
        self,
        region: Box,
        target: Target,
        axis: int,
        head: str,
        *,
        linear: bool,
        columns: Sequence[slice] | None = None,
        whole: bool = False,
    ) -> None:
        self._region, self._axis, self._head = region, axis, head
        given = columns or [slice(0, n) for n in target.turned]
        covered = [target.inside(a, span) for a, span in enumerate(region)]
        self._inside = [_common(a, b) for a, b in zip(given, covered, strict=True)]
        self._yielded = list(given) if whole else self._inside
        self._low, self._high, self._share = [], [], []
        for a, (low, high) in enumerate(region):
            near = target.positions[a] if linear else target.nearest[a].astype(np.float64)
            place = near.clip(low, high - 1)
            floor = np.floor(place).astype(np.int64)
            self._low.append(torch.from_numpy(floor - low))
            self._high.append(torch.from_numpy(np.minimum(floor + 1, high - 1) - low))
            self._share.append(torch.from_numpy((place - floor).astype(np.float32)))
        self._slabs: dict[int, _Slab] = {}

    @torch.no_grad()
    def blocks(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield blocks one row thick on the source's grid, axes in the network's order."""
        low, high = self._region[self._axis]
        waiting = self._order()
        outside = {row for row in waiting if not _within(row, self._inside[self._axis])}
        finished = low
        channels: Tensor | None = None
        for block in blocks:
            channels = block.logits
            if not waiting:
                continue
            self._collect(block)
            finished = self._finished(finished)
            while waiting and (waiting[0] in outside or self._ready(waiting[0], finished - low)):
                yield self._row(waiting.pop(0), channels)
            self._forget(waiting, finished)
        if channels is not None and waiting:
            assert finished == high, "the blocks do not fill the region"
            yield from (self._row(row, channels) for row in waiting)

    def _order(self) -> list[int]:
        """The source's rows along the slow axis as the network's grid runs."""
        rows = list(range(self._yielded[self._axis].start, self._yielded[self._axis].stop))
        low = self._low[self._axis]
        falling = len(rows) > 1 and bool(low[rows[0]] > low[rows[-1]])
        return rows[::-1] if falling else rows

    def _collect(self, block: Block) -> None:
        """Copy a block into the slab of its rows."""
        rows = block.where[self._axis]
        slab = self._slabs.get(rows.start)
        if slab is None:
            size = [high - low for low, high in self._region]
            size[self._axis] = rows.stop - rows.start
            shape = (len(block.logits), *size)
            values = own_pages(shape, block.logits.dtype, block.logits.device)
            slab = self._slabs[rows.start] = _Slab(values, values[0].numel())
        there = [
            slice(part.start - low, part.stop - low)
            for part, (low, _) in zip(block.where, self._region, strict=True)
        ]
        there[self._axis] = slice(None)
        slab.values[(slice(None), *there)] = block.logits
        slab.missing -= block.logits[0].numel()

    def _finished(self, finished: int) -> int:
        """The first row that is not whole."""
        while (slab := self._slabs.get(finished)) is not None and not slab.missing:
            finished += slab.values.shape[self._axis + 1]
        return finished

    def _ready(self, row: int, finished: int) -> bool:
        high = self._high if bool(self._share[self._axis][row]) else self._low
        return int(high[self._axis][row]) < finished

    def _forget(self, waiting: Sequence[int], finished: int) -> None:
        """Drop slabs whose rows no source row needs any more."""
        if not waiting:
            self._slabs.clear()
            return
        needed = self._region[self._axis][0] + int(self._low[self._axis][waiting[0]])
        for start in list(self._slabs):
            stop = start + self._slabs[start].values.shape[self._axis + 1]
            if stop <= min(needed, finished):
                del self._slabs[start]

    def _row(self, row: int, like: Tensor) -> Block:
        """One row of the source."""
        where = list(self._yielded)
        where[self._axis] = slice(row, row + 1)
        inside = [self._inside[a] if a != self._axis else where[a] for a in range(len(where))]
        if not _within(row, self._inside[self._axis]):
            return Block(tuple(where), self._background(where, like))
        values = self._plane(row)
        for a, part in enumerate(inside):
            if a != self._axis:
                values = self._along(values, a, part)
        if inside == where:
            return Block(tuple(where), values)
        filled = self._background(where, like)
        there = [
            slice(i.start - w.start, i.stop - w.start) for i, w in zip(inside, where, strict=True)
        ]
        filled[(slice(None), *there)] = values
        return Block(tuple(where), filled)

    def _plane(self, row: int) -> Tensor:
        """The network's rows at the place of a source row, as one: `(K, *plane)`, 1 thick."""
        share = float(self._share[self._axis][row])
        low = self._network_row(int(self._low[self._axis][row]))
        if not share:
            return low
        return torch.lerp(low, self._network_row(int(self._high[self._axis][row])), share)

    def _network_row(self, row: int) -> Tensor:
        row += self._region[self._axis][0]
        start = max(start for start in self._slabs if start <= row)
        return self._slabs[start].values.narrow(self._axis + 1, row - start, 1)

    def _along(self, values: Tensor, axis: int, part: slice) -> Tensor:
        """Values at the source's places along an axis of the plane."""
        device = values.device
        low = values.index_select(axis + 1, self._low[axis][part].to(device))
        share = self._share[axis][part]
        if not bool(share.any()):  # asked before it goes to a GPU, which would have to finish
            return low
        high = values.index_select(axis + 1, self._high[axis][part].to(device))
        shape = [-1 if a == axis + 1 else 1 for a in range(values.ndim)]
        return torch.lerp(low, high, share.to(device).view(shape))

    def _background(self, where: Sequence[slice], like: Tensor) -> Tensor:
        """Logits of nothing at all."""
        size = [part.stop - part.start for part in where]
        filled = like.new_full((len(like), *size), -SURE)
        if self._head == "softmax":
            filled[0] = 0
        return filled


def _within(row: int, part: slice) -> bool:
    return bool(part.start <= row < part.stop)


def _common(a: slice, b: slice) -> slice:
    """What two slices share."""
    start = max(a.start, b.start)
    return slice(start, max(start, min(a.stop, b.stop)))


def needed_span(target: Target, axis: int, columns: slice, within: Span) -> Span:
    """The network's voxels along an axis between which a part of the source lies."""
    places = target.positions[axis][columns].clip(within[0], within[1] - 1)
    return int(np.floor(places.min())), int(np.ceil(places.max())) + 1
