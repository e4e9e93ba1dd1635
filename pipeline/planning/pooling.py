"""Which axes a network halves between its levels, and where its kernels look along them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Levels = tuple[tuple[int, ...], ...]

THICK = 2.0  # an axis whose voxels are this many times longer than the finest ones is left alone
FEWEST = 4  # voxels that an axis must have to be halved, so that two remain


@dataclass(frozen=True, slots=True)
class Pooling:
    """Strides between levels and kernels of each level, finest first.

    Attributes:
        strides: 1 or 2 for each step and axis.
        kernels: 1 or 3 for each level and axis.
        why: What decided.
    """

    strides: Levels
    kernels: Levels
    why: str

    def skipped(self, axis: int) -> int:
        """Number of steps that leave `axis` as it is."""
        return sum(step[axis] == 1 for step in self.strides)

    @property
    def plain(self) -> bool:
        """Whether all axes are treated alike at every level."""
        return all(s == 2 for step in self.strides for s in step) and all(
            k == 3 for level in self.kernels for k in level
        )


def planned_pooling(
    spacing: Sequence[float] | None, shape: Sequence[int], steps: int, axes: Sequence[str]
) -> Pooling:
    """Halve the axes whose voxels are short, until all are about as long.

    At each step an axis is halved if its voxels are shorter than twice the finest ones and at
    least two would remain. A kernel spans an axis from the first level on at which its voxels
    are that short, and the coarsest level spans all axes that have more than one voxel.

    Args:
        spacing: mm per voxel of the network's axes; None for pictures, whose axes are alike.
        shape: The median case on the planned grid.
        steps: Number of times that the network halves.
        axes: What to call them.

    Source: Isensee et al., Nature Methods 2021, 18, 203, supplementary note 2.
    Deviations: the number of levels is the network's; an axis may go down to two voxels, there
        to four.
    """
    length = [float(s) for s in (spacing or [1.0] * len(shape))]
    size, start = [float(n) for n in shape], list(length)
    spans = [False] * len(size)
    strides: list[tuple[int, ...]] = []
    kernels: list[tuple[int, ...]] = []
    for _ in range(steps):
        long_enough = [n >= FEWEST for n in size]
        spans = _spanned(spans, length, shape)
        kernels.append(tuple(3 if s else 1 for s in spans))
        finest = min((s for s, ok in zip(length, long_enough, strict=True) if ok), default=0.0)
        halved = [ok and s < THICK * finest for s, ok in zip(length, long_enough, strict=True)]
        strides.append(tuple(2 if h else 1 for h in halved))
        length = [2 * s if h else s for s, h in zip(length, halved, strict=True)]
        size = [math.ceil(n / 2) if h else n for n, h in zip(size, halved, strict=True)]
    kernels.append(tuple(3 if n > 1 else 1 for n in shape))
    return Pooling(tuple(strides), tuple(kernels), _reason(strides, start, shape, axes))


def _spanned(spans: Sequence[bool], length: Sequence[float], shape: Sequence[int]) -> list[bool]:
    """Which axes a kernel spans: those that did, and those whose voxels are short by now."""
    finest = min(length)
    return [
        n > 1 and (before or s < THICK * finest)
        for before, s, n in zip(spans, length, shape, strict=True)
    ]


def _reason(
    strides: Sequence[Sequence[int]],
    length: Sequence[float],
    shape: Sequence[int],
    axes: Sequence[str],
) -> str:
    """What is said of the axes that are not halved at every step."""
    told = []
    for axis, name in enumerate(axes):
        skipped = sum(step[axis] == 1 for step in strides)
        if not skipped:
            continue
        thick = length[axis] >= THICK * min(length)
        cause = (
            f"voxels of {length[axis]:g} mm beside {min(length):g} mm"
            if thick
            else f"{shape[axis]} voxels, of which two shall remain"
        )
        told.append(f"{name} is not halved in {skipped} of {len(strides)} steps: {cause}")
    return (
        "; ".join(told)
        or "every axis is halved at every step: none has voxels twice as long as another"
    )
