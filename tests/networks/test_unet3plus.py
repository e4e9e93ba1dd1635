"""UNet 3+ with its classification-guided module."""

import pytest
import torch

from pipeline.contract import GuidedOutput
from pipeline.networks.unet3plus import UNet3Plus

WIDTHS = (4, 6, 8, 10, 12)


def guided(classes: int, *, present: bool, activation: str = "softmax") -> UNet3Plus:
    torch.manual_seed(0)
    network = UNet3Plus(
        2, 1, classes, widths=WIDTHS, deep_supervision=True, cgm=True, activation=activation
    )
    assert network.classifier is not None
    with torch.no_grad():
        network.classifier[1].get_parameter("weight").zero_()
        network.classifier[1].get_parameter("bias").copy_(
            torch.tensor([0.0, 1.0 if present else -1.0])
        )
    return network


def test_training_returns_ungated_heads_and_class_logits_as_one_typed_result() -> None:
    output = guided(3, present=False).train()(torch.randn(2, 1, 32, 32))
    assert isinstance(output, GuidedOutput)
    assert [head.shape for head in output.heads] == [(2, 3, 32, 32)] * 5
    assert output.class_logits.shape == (2, 2)
    assert all(head.abs().max() < 50 for head in output.heads)


def test_training_gives_the_classifier_and_all_heads_a_gradient() -> None:
    torch.manual_seed(0)
    network = UNet3Plus(3, 1, 2, widths=WIDTHS, deep_supervision=True, cgm=True).train()
    output = network(torch.randn(2, 1, 16, 16, 16))
    assert isinstance(output, GuidedOutput)
    loss = torch.stack([head.square().mean() for head in output.heads]).sum()
    (loss + output.class_logits.square().mean()).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("classes", [1, 3])
def test_an_absent_organ_is_silenced_to_probability_zero(classes: int, activation: str) -> None:
    network = guided(classes, present=False, activation=activation).eval()
    logits = network(torch.randn(1, 1, 32, 32))
    assert isinstance(logits, torch.Tensor)
    if classes > 1 and activation == "softmax":
        probabilities = logits.softmax(1)
        assert (logits[:, 0] == 0).all()
        assert probabilities[:, 1:].max() < 1e-30
    else:
        assert logits.sigmoid().max() < 1e-30


def test_a_present_organ_keeps_its_logits() -> None:
    network = guided(3, present=True).eval()
    x = torch.randn(1, 1, 32, 32)
    logits = network(x)
    network.classifier = None
    assert torch.equal(logits, network(x))


def test_each_case_of_a_batch_is_judged_alone() -> None:
    network = guided(1, present=True).eval()
    assert network.classifier is not None
    x = torch.randn(2, 1, 32, 32)
    network.classifier.register_forward_hook(
        lambda *_: torch.tensor([[0.0, 1.0], [1.0, 0.0]]).reshape(2, 2, 1, 1)
    )
    logits = network(x)
    assert isinstance(logits, torch.Tensor)
    assert logits[0].min() > -100
    assert (logits[1] == -100).all()
