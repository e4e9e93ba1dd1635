"""Windows through an engine, added up where they overlap; what is finished leaves at once."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from pipeline.contract import Engine
from pipeline.inferers.cells import AxisCells, Part, cut_layout, overlapping
from pipeline.inferers.gather import Gather
from pipeline.inferers.importance import Importance
from pipeline.inferers.layout import Box, Layout, places
from pipeline.inferers.pages import own_pages
from pipeline.inferers.pool import Pool
from pipeline.inferers.transfer import on_host

CHUNK: Final = {"cpu": 2**18, "cuda": 2**26}  # values at a time: a core's cache, a GPU's breath
Place = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Block:
    """A finished part of a grid.

    Attributes:
        where: Its place, one slice per axis.
        logits: `(K, *block)` float32, valid until the next block is asked for; may be changed.
    """

    where: tuple[slice, ...]
    logits: Tensor


class Sweep:
    """Mean logits over overlapping windows, without ever holding those of the whole grid.

    The edges of all windows cut the grid into cells. A cell's sums exist from its first window
    to its last; then they are divided by the sum of weights and handed out. Inside a cell the
    windows are added in the order of `axes`; with the first axis slowest, as in MONAI, the
    result is that of `sliding_window_inference`, bit for bit.

    Args:
        image: The network's input `(C, *S)`.
        layout: Where the windows lie.
        engine: Opened for windows of `layout.seen`.
        axes: The order of windows: the first of these axes changes slowest.
        device: Where sums are kept; None: where the image is.
        dtype: Of the sums.
        between: Called after each batch, when its logits are gone.

    Attributes:
        pool: Memory of the sums.
        windows: Windows computed so far.
    """

    def __init__(
        self,
        image: Tensor,
        layout: Layout,
        engine: Engine,
        axes: Sequence[int] | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        between: Callable[[], None] | None = None,
    ) -> None:
        self._image, self._layout, self._engine = image, layout, engine
        self._between = between or (lambda: None)
        self._axes = tuple(axes or range(len(layout.shape)))
        self._gather = Gather(image, layout)
        self.device = device or image.device
        self._importance = Importance(layout.patch, layout.blend, self.device)
        self.pool = Pool(self.device, dtype)
        self.windows = 0
        self._scratch = torch.empty(0, device=self.device)

    @torch.no_grad()
    def blocks(self, region: Box | None = None) -> Iterator[Block]:
        """Yield the finished blocks of a region, disjoint and together all of it.

        Args:
            region: Only the windows that touch it are computed; None: all that they cover.
        """
        cells = cut_layout(self._layout, region or self._layout.region)
        wanted = [
            place
            for place in places(self._layout, self._axes)
            if all(axis.parts[i] for axis, i in zip(cells, place, strict=True))
        ]
        pending: deque[tuple[list[Place], Tensor]] = deque()
        spare: list[Tensor] = []
        sums: dict[Place, Tensor] = {}
        computed = self._engine.run(self._feed(wanted, pending, spare))
        for logits in on_host(computed) if self.device.type == "cpu" else computed:
            group, batch = pending.popleft()
            spare.append(batch)
            for place, window in zip(group, logits, strict=True):
                self.windows += 1
                yield from self._add(window.to(self.device), place, cells, sums)
            del logits, window  # gone before the engine makes the next ones
            self._between()

    def _feed(
        self,
        wanted: Sequence[Place],
        pending: deque[tuple[list[Place], Tensor]],
        spare: list[Tensor],
    ) -> Iterator[Tensor]:
        """Yield batches of windows; `spare` holds buffers that the engine is done with."""
        size = self._engine.batch
        shape = (size, self._layout.channels(len(self._image)), *self._layout.seen)
        for number in range(0, len(wanted), size):
            group = list(wanted[number : number + size])
            batch = spare.pop() if spare else own_pages(shape, device=self._image.device)
            for window, place in zip(batch, group, strict=False):
                self._gather.into(window, place)
            pending.append((group, batch))
            yield batch[: len(group)]

    def _add(
        self,
        window: Tensor,
        place: Place,
        cells: Sequence[AxisCells],
        sums: dict[Place, Tensor],
    ) -> Iterator[Block]:
        """Add a window `(K, *patch)` to its cells; yield those that it was the last one of."""
        if self._layout.flat is not None:
            window = window.unsqueeze(self._layout.flat + 1)
        along = [axis.parts[i] for axis, i in zip(cells, place, strict=True)]
        for parts in overlapping(along):
            key = tuple(part.cell for part in parts)
            inner = tuple(part.inner for part in parts)
            values = window[(slice(None), *inner)]
            fresh = all(part.first for part in parts)
            if fresh:
                sums[key] = self.pool.take(values.shape)
            self._accumulate(sums[key], values, self._importance.map[inner], fresh=fresh)
            if all(part.last for part in parts):
                cell = sums.pop(key)
                yield self._finished(cell, parts, cells)
                self.pool.give(cell)

    def _accumulate(self, sums: Tensor, values: Tensor, weight: Tensor, *, fresh: bool) -> None:
        """Add weighted values to a cell: a product and a sum, each rounded, as MONAI does it.

        A few channels at a time, so that the products never leave the cache.
        """
        step = max(1, CHUNK[self.device.type] // weight.numel())
        for low in range(0, len(sums), step):
            part, added = sums[low : low + step], values[low : low + step]
            if fresh and sums.dtype == added.dtype:
                torch.mul(added, weight, out=part)
            elif fresh:
                part.copy_(added * weight)
            else:
                product = self._products(added.shape)
                torch.mul(added, weight, out=product)
                part.add_(product)

    def _products(self, shape: Sequence[int]) -> Tensor:
        """Scratch memory of a shape."""
        size = torch.Size(shape).numel()
        if self._scratch.numel() < size:
            self._scratch = own_pages((size,), device=self.device)
        return self._scratch[:size].view(*shape)

    def _finished(self, sums: Tensor, parts: Sequence[Part], cells: Sequence[AxisCells]) -> Block:
        """Divide a cell by its weights."""
        offsets = [
            axis.offsets(part.cell, starts)
            for axis, part, starts in zip(cells, parts, self._layout.starts, strict=True)
        ]
        weights = self._importance.sum(offsets, sums.shape[1:], self._axes)
        spans = [axis.spans[part.cell] for axis, part in zip(cells, parts, strict=True)]
        mean = sums.div_(weights) if sums.dtype == weights.dtype else sums.float().div_(weights)
        return Block(tuple(slice(low, high) for low, high in spans), mean)
