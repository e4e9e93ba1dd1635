from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import InvalidValueError
from pipeline.losses import BCEIoULoss, IoULoss

Sample = Callable[..., tuple[Tensor, Tensor]]


def as_in_the_article(logits: Tensor, label: Tensor) -> float:
    """Article 002's formula, in double, on probabilities."""
    p, y = logits.sigmoid().flatten(), label.double().flatten()
    entropy = nn.BCELoss()(p, y)
    inter = (p * y).sum() + 1e-7
    union = (p + y).sum() - inter + 1e-7
    return float(entropy - inter / union + 1)


@pytest.mark.parametrize("shape", [(3, 1, 9, 8), (2, 1, 5, 6, 7)])
@pytest.mark.parametrize("seed", [0, 1])
def test_is_the_articles_to_a_millionth(shape: tuple[int, ...], seed: int, sample: Sample) -> None:
    logits, label = sample(shape, regions=True, seed=seed)
    expected = as_in_the_article(logits, label)
    for dtype in (torch.float64, torch.float32):
        assert BCEIoULoss()(logits.to(dtype), label).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -200.0])
def test_costs_nothing_where_mask_and_prediction_are_empty(logit: float) -> None:
    logits = torch.full((2, 1, 4, 4), logit, requires_grad=True)
    loss = BCEIoULoss()(logits, torch.zeros(2, 1, 4, 4))
    assert loss.item() == 0  # the article divides by zero here
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_iou_is_the_mean_over_cases_and_foreground_classes(sample: Sample) -> None:
    logits, label = sample((2, 3, 5, 6))
    p = logits.softmax(1)
    values = []
    for case in range(2):
        for k in (1, 2):
            y = (label[case, 0] == k).double()
            both = float((p[case, k] * y).sum())
            values.append(both / (float(p[case, k].sum() + y.sum()) - both))
    expected = 1 - sum(values) / 4
    assert IoULoss()(logits, label).item() == pytest.approx(expected, abs=1e-6)


def test_several_classes_cost_the_softmax_cross_entropy(sample: Sample) -> None:
    logits, label = sample((2, 3, 5, 6))
    p = logits.softmax(1)[:, 1:]
    y = torch.cat([label == 1, label == 2], 1).double()
    both = float((p * y).sum())
    entropy = nn.CrossEntropyLoss()(logits, label[:, 0]).item()
    expected = entropy + 1 - both / (float((p + y).sum()) - both)
    assert BCEIoULoss()(logits, label).item() == pytest.approx(expected, abs=1e-6)


def test_a_label_map_for_regions_is_refused(sample: Sample) -> None:
    logits, label = sample((2, 3, 5, 6))
    with pytest.raises(InvalidValueError, match="a label of 1 channels for logits of 3"):
        BCEIoULoss(sigmoid=True)(logits, label)
