from collections.abc import Callable
from math import exp, log

import pytest
import torch
from monai.losses import FocalLoss as MonaiFocalLoss
from torch import Tensor, nn

from pipeline.errors import InvalidValueError
from pipeline.losses import FocalLoss

Sample = Callable[..., tuple[Tensor, Tensor]]


def test_is_the_papers_formula_voxel_by_voxel(sample: Sample) -> None:
    logits, label = sample((2, 3, 4, 5))
    alpha = [0.2, 0.5, 1.0]
    rows = logits.softmax(1).movedim(1, -1).reshape(-1, 3).tolist()
    terms = [
        -alpha[k] * (1 - row[k]) ** 1.5 * log(row[k])
        for row, k in zip(rows, label.flatten().tolist(), strict=True)
    ]
    loss = FocalLoss(gamma=1.5, alpha=alpha)(logits, label)
    assert loss.item() == pytest.approx(sum(terms) / len(terms))


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_of_regions_agrees_with_monai(alpha: float | None, sample: Sample) -> None:
    logits, regions = sample((2, 3, 4, 5), regions=True)
    reference = MonaiFocalLoss(gamma=2.0, alpha=alpha)(logits, regions)
    loss = FocalLoss(sigmoid=True, alpha=alpha)(logits, regions)
    assert loss.item() == pytest.approx(reference.item(), rel=1e-6)


def test_of_gamma_zero_is_the_cross_entropy(sample: Sample) -> None:
    logits, label = sample((2, 3, 4, 5))
    expected = nn.CrossEntropyLoss()(logits, label[:, 0]).item()
    assert FocalLoss(gamma=0.0)(logits, label).item() == pytest.approx(expected)


def test_of_a_sure_voxel_does_not_round_to_nothing() -> None:
    logits = torch.tensor([[[[16.0]]]])
    wrong = exp(-16) / (1 + exp(-16))
    loss = FocalLoss(gamma=1.0)(logits, torch.ones(1, 1, 1, 1)).item()
    assert loss == pytest.approx(wrong * -log(1 - wrong), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "regions", "message"),
    [
        ({"alpha": [0.5, 0.5]}, False, "for 3 classes"),
        ({"alpha": 0.25}, False, "for 3 classes"),
        ({"alpha": 1.5}, True, "alpha is 1.5"),
        ({"gamma": -1.0}, False, "gamma is -1.0"),
    ],
)
def test_settings_that_make_no_loss_are_refused(
    settings: dict[str, object], regions: bool, message: str, sample: Sample
) -> None:
    with pytest.raises(InvalidValueError, match=message):
        FocalLoss(sigmoid=regions, **settings)(  # type: ignore[arg-type]
            *sample((2, 3, 4, 5), regions=regions)
        )
