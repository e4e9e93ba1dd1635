"""The grid that results go to: the source's, where its axes may be turned and finer or coarser."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.inferers.layout import Span

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """How the source's voxels lie on the network's grid, axis by axis.

    Attributes:
        axes: For each axis of the network's grid, the axis of the source that runs along it.
        nearest: For each axis of the network's grid, the nearest of its voxels for each of the
            source's; -1 for those outside. They rise or fall.
        positions: The same places, not rounded.
    """

    axes: tuple[int, ...]
    nearest: tuple[Index, ...]
    positions: tuple[NDArray[np.float64], ...]

    @classmethod
    def same(cls, shape: Sequence[int]) -> "Target":
        """A source that is the network's grid."""
        lines = [np.arange(n) for n in shape]
        places = tuple(line.astype(np.float64) for line in lines)
        return cls(tuple(range(len(lines))), tuple(lines), places)

    @property
    def own(self) -> "Target":
        """The source with its axes in the network's order, for blocks that lie on it already."""
        same = Target.same(self.turned)
        return Target(self.axes, same.nearest, same.positions)

    @property
    def turned(self) -> tuple[int, ...]:
        """Shape of the source, axes in the order of the network's grid."""
        return tuple(len(line) for line in self.nearest)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source."""
        return tuple(self.turned[self.axes.index(a)] for a in range(len(self.axes)))

    def view(self, values: NDArray[Any]) -> NDArray[Any]:
        """View `(C, *shape)` with axes in the order of the network's grid."""
        return values.transpose(0, *(axis + 1 for axis in self.axes))

    def inside(self, axis: int, span: Span) -> slice:
        """The source's voxels along an axis whose nearest voxel is in `span`."""
        line = self.nearest[axis]
        found = np.flatnonzero((line >= span[0]) & (line < span[1]))
        return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)

    def put(
        self, values: NDArray[Any], where: Sequence[slice], into: Sequence[NDArray[Any]]
    ) -> None:
        """Write `(C, *block)` to all voxels of the source that are nearest to one of the block.

        Args:
            values: On the network's grid.
            where: The place of the block there.
            into: For each C an array of the source's shape.
        """
        there = []
        for axis, part in enumerate(where):
            found = self.inside(axis, (part.start, part.stop))
            index = self.nearest[axis][found] - part.start
            if not np.array_equal(index, np.arange(values.shape[axis + 1])):
                values = values.take(index, axis=axis + 1)
            there.append(found)
        for channel, target in zip(values, into, strict=True):
            target.transpose(self.axes)[tuple(there)] = channel
