from collections.abc import Callable

import pytest
from monai.losses import TverskyLoss as MonaiTverskyLoss
from torch import Tensor

from pipeline.errors import InvalidValueError
from pipeline.losses import DiceLoss, TverskyLoss

Sample = Callable[..., tuple[Tensor, Tensor]]


@pytest.mark.parametrize("shape", [(2, 3, 6, 5), (2, 4, 6, 5, 4)])
def test_agrees_with_monai_over_the_batch(shape: tuple[int, ...], sample: Sample) -> None:
    logits, label = sample(shape)
    reference = MonaiTverskyLoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        batch=True,
        alpha=0.3,
        beta=0.7,
        smooth_nr=1.0,
        smooth_dr=1.0,
    )
    assert TverskyLoss()(logits, label).item() == pytest.approx(reference(logits, label).item())


def test_of_two_halves_is_the_dice(sample: Sample) -> None:
    logits, label = sample((2, 3, 6, 5))
    halves = TverskyLoss(alpha=0.5, beta=0.5, smooth=0.5)(logits, label)
    assert halves.item() == pytest.approx(DiceLoss(smooth=1.0)(logits, label).item())


def test_a_weight_below_zero_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"alpha is -0\.1"):
        TverskyLoss(alpha=-0.1)
