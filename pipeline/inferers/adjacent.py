"""A 2D network that sees the slices beside its own: 2.5D."""

from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import SliceInferer, SlidingWindowInfererAdapt
from torch import Tensor


class AdjacentSliceInferer(SliceInferer, SlidingWindowInfererAdapt):
    """MONAI's slice by slice, each slice with its neighbours as further channels.

    `SliceInferer` hands on to the class behind it, which goes on where a GPU's memory ends.

    Args:
        slices: An odd number; the network takes so many channels for each of the image.
        **kwargs: Of `SliceInferer`; `spatial_dim` is the axis that it walks along.
    """

    def __init__(self, slices: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slices = slices

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Logits `(B, K, *S)` of `inputs` `(B, C, *S)`."""
        seen = with_neighbours(inputs, self.slices, self.spatial_dim + 2)
        return super().__call__(seen, network, *args, **kwargs)


def with_neighbours(images: Tensor, slices: int, axis: int) -> Tensor:
    """Images `(B, C, *S)` to `(B, C * slices, *S)`: each channel's slices together.

    The first and the last slice along `axis` are repeated beyond the ends.
    """
    if slices == 1:
        return images
    values = images.as_tensor() if isinstance(images, MetaTensor) else images
    length, around = values.shape[axis], slices // 2
    place = torch.arange(length, device=values.device)
    shifted = [
        values.index_select(axis, (place + i).clamp(0, length - 1))
        for i in range(-around, around + 1)
    ]
    stacked = torch.stack(shifted, dim=2).flatten(1, 2)
    return MetaTensor(stacked, meta=images.meta) if isinstance(images, MetaTensor) else stacked
