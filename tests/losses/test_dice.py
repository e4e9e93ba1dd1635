from collections.abc import Callable

import pytest
from monai.losses import DiceLoss as MonaiDiceLoss
from torch import Tensor

from pipeline.losses import DiceLoss

Sample = Callable[..., tuple[Tensor, Tensor]]


@pytest.mark.parametrize("shape", [(2, 3, 6, 5), (2, 4, 6, 5, 4)])
def test_agrees_with_monai_over_the_batch(shape: tuple[int, ...], sample: Sample) -> None:
    logits, label = sample(shape)
    reference = MonaiDiceLoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        batch=True,
        smooth_nr=1.0,
        smooth_dr=1.0,
    )
    assert DiceLoss()(logits, label).item() == pytest.approx(reference(logits, label).item())


def test_of_regions_agrees_with_monai(sample: Sample) -> None:
    logits, regions = sample((2, 3, 6, 5), regions=True)
    reference = MonaiDiceLoss(sigmoid=True, batch=True, smooth_nr=0.5, smooth_dr=0.5)
    loss = DiceLoss(sigmoid=True, smooth=0.5)(logits, regions)
    assert loss.item() == pytest.approx(reference(logits, regions).item())
