"""Spacing, patch and slice direction of a plan."""

import math
from collections.abc import Sequence

from pipeline.planning.network import NetworkFacts


def planned_spacing(
    spacing: Sequence[float], shape: Sequence[int], patch_voxels: int, context: int, dims: int
) -> tuple[tuple[float, ...], str]:
    """The median spacing, coarser where a patch would see too little of the median case.

    Args:
        spacing: Median spacing in mm.
        shape: Median shape in voxels.
        patch_voxels: Most voxels of a patch.
        context: The median case may hold at most this many patches.
        dims: Of the network; a 2D one is not made coarser through the slices.
    """
    planned = [float(s) for s in spacing]
    count = [float(n) for n in shape]
    free = list(range(3))
    if dims == 2:
        free.remove(slice_axis(spacing, tuple(shape)))
    limit = float(context * patch_voxels)
    while math.prod(count[i] for i in free) > limit:
        finest = min(planned[i] for i in free)
        axes = [i for i in free if planned[i] < 1.01 * finest]
        others = [planned[i] for i in free if i not in axes]
        need = (math.prod(count[i] for i in free) / limit) ** (1 / len(axes))
        factor = min(need, min(others) / finest) if others else need
        for i in axes:
            planned[i], count[i] = planned[i] * factor, count[i] / factor
        if factor <= 1.0 + 1e-9:
            break
    if planned == [float(s) for s in spacing]:
        return tuple(planned), "median of the training cases"
    rounded = tuple(float(f"{s:.3g}") for s in planned)
    return rounded, (
        f"coarser than the median {list(spacing)}, finest axes first, so that a patch sees at "
        f"least 1/{context} of the median case"
    )


def planned_patch(
    shape: Sequence[int], network: NetworkFacts, patch_voxels: float
) -> tuple[int, ...]:
    """The largest patch of at most `patch_voxels`, shaped like `shape`, that the network takes.

    It is never larger than the median case needs, but at least two voxels stand at the coarsest
    level: a norm needs them.
    """
    wanted = [n + network.border for n in shape]
    patch = list(network.next_size(wanted))
    least = network.next_size([2 * step + network.offset for step in network.divisor])
    while math.prod(patch) > patch_voxels:
        shrinkable = [i for i, n in enumerate(patch) if n > least[i]]
        if not shrinkable:
            break
        widest = max(shrinkable, key=lambda i: (patch[i] / wanted[i], patch[i]))
        patch[widest] -= network.divisor[widest]
    coarsest = [n // step for n, step in zip(patch, network.divisor, strict=True)]
    if math.prod(coarsest) == 1 and network.divisor[0] > 1:
        patch[0] += network.divisor[0]
    return tuple(patch)


def slice_axis(spacing: Sequence[float] | None, shape: Sequence[int]) -> int:
    """The axis that a 2D network walks along: the one of the thickest slices, z where equal."""
    if spacing is None:
        return 2
    return max(range(len(shape)), key=lambda i: (round(spacing[i], 3), i))
