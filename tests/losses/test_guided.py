from math import log

import pytest
import torch
from torch import Tensor

from pipeline.contract import GuidedOutput
from pipeline.errors import InvalidValueError
from pipeline.losses import DiceCELoss, GuidedLoss, presence_loss
from pipeline.networks import build_network


def test_presence_is_compared_with_whether_the_case_has_any_foreground() -> None:
    label = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    label[1, 0, 2, 3] = 7
    logits = torch.tensor([[log(3.0), 0.0], [0.0, log(4.0)]])  # p of the true: 3/4 and 4/5
    expected = -(log(3 / 4) + log(4 / 5)) / 2
    assert presence_loss(logits, label).item() == pytest.approx(expected)
    assert presence_loss(logits.bfloat16(), label).dtype == torch.float32


def test_class_logits_add_to_the_loss_of_the_heads() -> None:
    logits, label = torch.zeros(2, 2, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.int64)
    output = GuidedOutput([logits], torch.zeros(2, 2))
    plain = DiceCELoss()(logits, label).item()
    assert GuidedLoss(DiceCELoss(), 0.5)(output, label).item() == pytest.approx(plain + log(2) / 2)
    assert GuidedLoss(DiceCELoss())(logits, label).item() == plain


def test_every_parameter_of_a_guided_network_gets_a_gradient() -> None:
    network = build_network(
        "unet3plus", 2, 1, 2, widths=(2, 2, 2, 2, 2), deep_supervision=True, cgm=True
    )
    label: Tensor = torch.zeros(2, 1, 32, 32, dtype=torch.int64)
    label[0, 0, :8] = 1
    GuidedLoss(DiceCELoss())(network(torch.randn(2, 1, 32, 32)), label).backward()
    assert all(one.grad is not None for one in network.parameters())


def test_progress_is_handed_on() -> None:
    inner = DiceCELoss([1.0, 2.0])
    loss = GuidedLoss(inner)
    loss.progress = 0.5
    assert inner.progress == loss.progress == 0.5


def test_a_weight_below_zero_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="weight is -1"):
        GuidedLoss(DiceCELoss(), -1)
