"""Spacing, patch and slice direction of a plan."""

import math
from collections.abc import Sequence


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
    shape: Sequence[int], divisor: Sequence[int], patch_voxels: int
) -> tuple[int, ...]:
    """The largest patch of at most `patch_voxels`, shaped like `shape`, in steps of the divisor."""
    patch = [math.ceil(n / d) * d for n, d in zip(shape, divisor, strict=True)]
    while math.prod(patch) > patch_voxels:
        shrinkable = [i for i in range(len(patch)) if patch[i] > 2 * divisor[i]]
        if not shrinkable:
            break
        widest = max(shrinkable, key=lambda i: (patch[i] / shape[i], patch[i]))
        patch[widest] -= divisor[widest]
    return tuple(patch)


def slice_axis(spacing: Sequence[float] | None, shape: Sequence[int]) -> int:
    """The axis that a 2D network walks along: the one of the thickest slices, z where equal."""
    if spacing is None:
        return 2
    return max(range(len(shape)), key=lambda i: (round(spacing[i], 3), i))


def planned_interval(
    cases: int, shape: Sequence[int], patch: Sequence[int], patches: int, *, sliced: bool
) -> tuple[int, str]:
    """Epochs between validations, so that these cost at most a tenth of the training.

    Forward and backward of a training patch cost three forwards. A validation case is covered by
    windows that overlap by half along each axis.

    Args:
        cases: Validation cases.
        shape: The median case on the planned grid.
        patch: Training patch and window.
        patches: Training patches per epoch.
        sliced: A 2D network walks through volumes.
    """
    if sliced:
        volume = math.prod(shape) * 4
    else:
        windows = [math.ceil(2 * n / p) for n, p in zip(shape, patch, strict=True)]
        volume = math.prod(windows) * math.prod(patch)
    interval = max(1, math.ceil(cases * volume / (0.1 * 3 * patches * math.prod(patch))))
    return interval, "validation costs at most a tenth of the training, by voxels computed"
