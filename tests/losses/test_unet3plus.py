from collections.abc import Callable

import pytest
from torch import Tensor

from pipeline.losses import FocalLoss, IoULoss, MSSSIMLoss, UNet3PlusLoss

Sample = Callable[..., tuple[Tensor, Tensor]]


@pytest.mark.parametrize("shape", [(2, 3, 24, 26), (1, 2, 12, 13, 14)])
def test_is_the_sum_of_voxels_patches_and_map(shape: tuple[int, ...], sample: Sample) -> None:
    logits, label = sample(shape)
    parts = [one(logits, label).item() for one in (FocalLoss(), MSSSIMLoss(), IoULoss())]
    assert UNet3PlusLoss()(logits, label).item() == pytest.approx(sum(parts))
