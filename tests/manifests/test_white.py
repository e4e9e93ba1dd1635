"""Row I11: a mask of 0 and 255 where one class of another integer is declared."""

import numpy as np
import pytest

from pipeline.manifests import is_white, without_white


def test_i11_255_is_the_only_class_of_a_picture() -> None:
    mask = np.array([[0, 255], [255, 0]], np.uint8)
    assert without_white(mask, [[1]]).tolist() == [[0, 1], [1, 0]]
    assert without_white(mask, [[300]]).tolist() == [[0, 300], [300, 0]]
    assert is_white([0, 255], [[1]])
    assert is_white([255], [[1]])


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        ([[0, 1]], [[1]]),
        ([[0, 0]], [[1]]),
        ([[0, 1, 255]], [[1]]),
        ([[0, 254]], [[1]]),
        ([[0, 255]], [[255]]),
        ([[0, 255]], [[1], [2]]),
        ([[0, 255]], [[1, 2]]),
        ([[[0, 255]]], [[1]]),  # a volume
    ],
)
def test_i11_everything_else_stays_as_it_is(mask: object, values: list[list[int]]) -> None:
    array = np.array(mask, np.uint8)
    assert without_white(array, values) is array
