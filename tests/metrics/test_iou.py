from typing import Any

import numpy as np
import pytest

from pipeline.errors import GeometryError, UnknownNameError
from pipeline.metrics.iou import hard_iou, matrix_iou, soft_iou

P = np.array([[0.9, 0.6, 0.2, 0.0], [0.8, 0.1, 0.7, 0.4]])
Y = np.array([[1, 1, 1, 0], [1, 0, 0, 0]])


def test_soft_iou_is_the_fraction_of_sums() -> None:
    # sum(p y) = 0.9 + 0.6 + 0.2 + 0.8; sum(p) = 3.7; sum(y) = 4
    assert soft_iou(P, Y) == pytest.approx(2.5 / (3.7 + 4 - 2.5))


def test_hard_iou_counts_voxels_above_one_half() -> None:
    assert hard_iou(P, Y) == pytest.approx(3 / 5)
    assert hard_iou(np.array([0.5]), np.array([1.0])) == 0


def test_matrix_iou_is_of_the_batch_or_the_mean_of_images() -> None:
    assert matrix_iou(P, Y) == pytest.approx(3 / 5, abs=1e-6)
    assert matrix_iou(P, Y, per="image") == pytest.approx((2 / 3 + 1 / 2) / 2, abs=1e-6)


def test_matrix_iou_is_the_articles_formula() -> None:
    generator = np.random.default_rng(0)
    p, y = generator.random((3, 1, 9, 8)), generator.integers(0, 2, (3, 1, 9, 8))
    a, b = (p > 0.5).astype(float), y.astype(float)
    inter = (a * b).sum() + 1e-7
    union = (a + b).sum() - inter + 2e-7
    assert matrix_iou(p, y) == pytest.approx(inter / union, abs=1e-12)


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (2, 1, 3, 4, 5)])
def test_two_empty_masks_agree(shape: tuple[int, ...]) -> None:
    empty = np.zeros(shape)
    assert soft_iou(empty, empty) == hard_iou(empty, empty) == 1
    assert matrix_iou(empty, empty) == pytest.approx(1, abs=1e-12)
    assert matrix_iou(empty, empty, per="image") == pytest.approx(1, abs=1e-12)
    assert matrix_iou(empty + 1, empty, per="image") < 1e-6


def test_many_voxels_of_a_byte_type_are_counted_exactly() -> None:
    ones = np.ones((2, 300, 300), np.uint8)
    assert hard_iou(ones, ones) == soft_iou(ones, ones) == 1


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(GeometryError, match="differ"):
        soft_iou(P, Y[:1])
    per: Any = "case"
    with pytest.raises(UnknownNameError, match="'case'"):
        matrix_iou(P, Y, per=per)
