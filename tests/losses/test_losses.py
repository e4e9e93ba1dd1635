"""What every loss of the table does."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.contract import GuidedOutput
from pipeline.losses import LOSSES

SHAPES = [(2, 3, 12, 13), (2, 3, 6, 7, 8)]
Sample = Callable[..., tuple[Tensor, Tensor]]


def build(name: str, **options: Any) -> nn.Module:
    module, _, attribute = LOSSES[name].partition(":")
    loss: nn.Module = getattr(importlib.import_module(module), attribute)(**options)
    return loss


@pytest.fixture(params=LOSSES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_is_finite_on_empty_masks_with_a_gradient(
    name: str, shape: tuple[int, ...], regions: bool, scale: float, sample: Sample
) -> None:
    logits = (scale * sample(shape)[0]).float().requires_grad_()
    empty = torch.zeros(2, 3 if regions else 1, *shape[2:], dtype=torch.uint8)
    loss = build(name, sigmoid=regions)(logits, empty)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert scale > 1 or logits.grad.abs().sum() > 0


@pytest.mark.parametrize("regions", [False, True])
def test_bfloat16_logits_under_autocast_give_the_loss_in_float32(
    name: str, regions: bool, sample: Sample
) -> None:
    logits, label = sample((2, 3, 16, 16), regions=regions)
    half = logits.bfloat16().requires_grad_()
    criterion = build(name, sigmoid=regions)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = criterion(half, label)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == criterion(half.detach().float(), label).item()
    assert half.grad is not None
    assert half.grad.isfinite().all()


@pytest.mark.parametrize("regions", [False, True])
def test_gradient_is_that_of_finite_differences(name: str, regions: bool, sample: Sample) -> None:
    logits, label = sample((2, 3, 4, 5), regions=regions)
    criterion = build(name, sigmoid=regions)
    assert torch.autograd.gradcheck(lambda x: criterion(x, label), (logits.requires_grad_(),))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_perfect_prediction_costs_next_to_nothing_and_a_wrong_one_more_than_a_guess(
    name: str, shape: tuple[int, ...], sample: Sample
) -> None:
    label = sample(shape)[1]
    hot = torch.zeros(shape).scatter_(1, label, 1.0)
    criterion = build(name)
    right, guess, wrong = (criterion(scale * hot, label).item() for scale in (40, 0, -40))
    assert right == pytest.approx(0, abs=1e-4)
    assert right < guess < wrong


def test_heads_count_one_and_one_half_and_every_one_gets_a_gradient(
    name: str, sample: Sample
) -> None:
    logits, label = sample((2, 3, 16, 16))
    coarse = sample((2, 3, 8, 8), seed=1)[0]
    criterion = build(name)
    heads = [logits.requires_grad_(), coarse.requires_grad_()]
    loss = criterion(heads, label)
    if name != "border":  # its weights come from the full-size label
        parts = criterion(logits, label), criterion(coarse, label[:, :, 1::2, 1::2])
        assert loss.item() == pytest.approx((parts[0].item() + parts[1].item() / 2) / 1.5)
    guided = criterion(GuidedOutput(heads, torch.zeros(2, 2)), label)
    assert guided.item() == loss.item()
    loss.backward()
    assert all(head.grad is not None and head.grad.abs().sum() > 0 for head in heads)


def test_order_of_cases_and_memory_format_do_not_matter(name: str, sample: Sample) -> None:
    logits, label = sample((4, 3, 6, 5, 7))
    criterion = build(name)
    expected = criterion(logits, label).item()
    order = [2, 0, 3, 1]
    assert criterion(logits[order], label[order]).item() == pytest.approx(expected)
    last = logits.to(memory_format=torch.channels_last_3d)
    assert criterion(last, label).item() == pytest.approx(expected)
