import numpy as np
import pytest
import torch

from pipeline.inferers.decision import bytes_of, classes_of, logits_of, probabilities_of


@pytest.mark.parametrize("classes", [1, 2, 7, 105, 256, 300])
def test_the_largest_wins_and_of_equal_ones_the_lowest_as_in_argmax(classes: int) -> None:
    torch.manual_seed(classes)
    logits = torch.randn(classes, 50, 33, 25).mul(2).round()  # many ties
    found = classes_of(logits, "softmax")
    assert found.shape == (1, 50, 33, 25)
    assert found.dtype == (np.uint8 if classes <= 256 else np.uint16)
    assert (found[0] == logits.argmax(0).numpy()).all()


def test_regions_are_where_their_logit_is_above_0() -> None:
    logits = torch.tensor([[-1.0, 0.0, 2.0], [3.0, -0.5, 0.1]])
    assert classes_of(logits, "sigmoid").tolist() == [[0, 0, 1], [1, 0, 1]]


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_logits_of_probabilities_have_these_probabilities(head: str) -> None:
    given = probabilities_of(torch.randn(3, 40), head)
    assert torch.allclose(probabilities_of(logits_of(given, head), head), given, atol=1e-6)
    extreme = torch.tensor([[0.0], [1.0]])
    assert logits_of(extreme, head).isfinite().all()


def test_probabilities_are_bytes_in_steps_of_a_255th() -> None:
    assert bytes_of(torch.tensor([0.0, 0.5 / 255 + 1e-6, 0.2, 1.0])).tolist() == [0, 1, 51, 255]
