"""Which windows of a case go through an engine together, and which ones it is measured on."""

from collections.abc import Iterator
from math import gcd, prod
from typing import Final

import torch
from torch import Tensor

from pipeline.inferers.gather import Gather
from pipeline.inferers.layout import Layout, places

BATCH_VOXELS: Final = 2**18  # per forward: less leaves a CPU's cores without work
LARGEST_BATCH: Final = 16
GPU_BATCH: Final = 4  # times as many windows
GOLDEN: Final = (5**0.5 - 1) / 2


def spread_windows(image: Tensor, layout: Layout) -> Iterator[Tensor]:
    """Windows `(C, *seen)` of a layout, the first few from all over it, starting in its middle.

    Agreement is judged on them: the densest ones in the middle hold more borders than the rest.
    """
    every = places(layout, range(len(layout.shape)))
    middle = every.index(tuple((len(starts) - 1) // 2 for starts in layout.starts))
    stride = stride_of(len(every))
    gather = Gather(image, layout)
    for number in range(len(every)):
        window = image.new_empty((layout.channels(len(image)), *layout.seen))
        gather.into(window, every[(middle + number * stride) % len(every)])
        yield window


def stride_of(number: int) -> int:
    """A stride through so many places that meets each once, any first few of them far apart.

    Multiples of the golden section lie so, the next number without a common factor will do.
    """
    stride = max(1, round(number * GOLDEN))
    while gcd(stride, number) > 1:
        stride += 1
    return stride


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
