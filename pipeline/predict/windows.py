"""Which windows of a case go through an engine together, and which ones it is measured on."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Final

import torch
from torch import Tensor

from pipeline.inferers.gather import Gather
from pipeline.inferers.layout import Layout

BATCH_VOXELS: Final = 2**18  # per forward: less leaves a CPU's cores without work
LARGEST_BATCH: Final = 16
GPU_BATCH: Final = 4  # times as many windows
FEW: Final = 256  # places in a spread order; the others follow in their own
MIDDLE: Final = 0.5 - 1e-9  # of two middle places the first one
ITERATIONS: Final = 50


def spread_windows(image: Tensor, layout: Layout) -> Iterator[Tensor]:
    """Windows `(C, *seen)` of a layout, the first few from all over it, starting in its middle.

    Agreement is judged on them: the densest ones in the middle hold more borders than the rest.
    """
    gather = Gather(image, layout)
    for place in spread([len(starts) for starts in layout.starts]):
        window = image.new_empty((layout.channels(len(image)), *layout.seen))
        gather.into(window, place)
        yield window


def spread(counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield each place of a grid once, any first few of them far apart along every axis.

    Each axis advances by its own irrational share, those whose multiples lie most evenly together.

    Args:
        counts: Places along each axis.
    """
    root = 1.5  # of x^(d + 1) = x + 1
    for _ in range(ITERATIONS):
        root = (1 + root) ** (1 / (len(counts) + 1))
    seen: set[tuple[int, ...]] = set()
    every = product(*map(range, counts))
    for step in range(FEW):
        shares = ((MIDDLE + step / root ** (axis + 1)) % 1 for axis in range(len(counts)))
        place = tuple(int(share * count) for share, count in zip(shares, counts, strict=True))
        if place not in seen:
            seen.add(place)
            yield place
    yield from (place for place in every if place not in seen)


def batch_for(layout: Layout, device: torch.device, classes: int, limit: int | None) -> int:
    """Windows per forward.

    A power of two. A single small window takes a slow path on a CPU. Under a limit of memory a
    batch's logits get a sixteenth of it at most.

    Args:
        layout: The windows.
        device: Where they are computed.
        classes: K.
        limit: Bytes; None: no limit.
    """
    voxels = prod(layout.seen)
    batch = max(1, min(LARGEST_BATCH, BATCH_VOXELS // voxels))
    if device.type == "cuda":
        batch *= GPU_BATCH
    while limit is not None and batch > 1 and batch * voxels * classes * 4 * 16 > limit:
        batch //= 2
    # an engine serves one batch: few sizes for the cases of a cohort
    return 1 << (min(batch, layout.windows).bit_length() - 1)
