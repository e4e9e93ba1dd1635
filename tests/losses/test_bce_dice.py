from collections.abc import Callable

import pytest
from torch import Tensor, nn

from pipeline.losses import BCEDiceLoss

Sample = Callable[..., tuple[Tensor, Tensor]]


@pytest.mark.parametrize("shape", [(3, 1, 9, 8), (2, 1, 5, 6, 7)])
def test_is_half_the_entropy_and_the_dice_of_the_flattened_batch(
    shape: tuple[int, ...], sample: Sample
) -> None:
    logits, label = sample(shape, regions=True)
    p, y = logits.sigmoid().flatten().tolist(), label.flatten().tolist()
    both = sum(a * b for a, b in zip(p, y, strict=True))
    dice = (2 * both + 1) / (sum(p) + sum(y) + 1)
    entropy = nn.BCELoss()(logits.sigmoid(), label.double()).item()
    assert BCEDiceLoss()(logits, label).item() == pytest.approx(entropy / 2 + 1 - dice)
