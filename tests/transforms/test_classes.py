from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from pipeline.errors import DataError
from pipeline.transforms.classes import (
    ToClassesd,
    ToDecisiond,
    decide,
    to_classes,
    to_integers,
)

Values = Sequence[Sequence[int]]
FILE = np.array([[[0, 4], [300, 4]]])  # (1, 2, 2), integers of a file


def case(label: Any = FILE) -> dict[Hashable, Any]:
    return {"case": "c7", "label": MetaTensor(torch.as_tensor(label.copy()), meta={"note": "x"})}


def test_integers_become_class_indices_in_declared_order() -> None:
    out = ToClassesd("label", [[300], [4]])(case())["label"]
    assert out.dtype == torch.uint8
    assert out.tolist() == [[[0, 2], [1, 2]]]


def test_regions_become_maps_that_may_overlap() -> None:
    out = ToClassesd("label", [[4, 300], [300]], head="sigmoid")(case())["label"]
    assert out.dtype == torch.uint8
    assert out.tolist() == [[[0, 1], [1, 1]], [[0, 0], [1, 0]]]


def test_meta_data_stay_and_the_input_is_left_as_it_was() -> None:
    given = case()
    out = ToClassesd("label", [[4], [300]])(given)["label"]
    assert isinstance(out, MetaTensor)
    assert out.meta["note"] == "x"
    assert np.array_equal(given["label"].numpy(), FILE)


@pytest.mark.parametrize("stray", [7, -1])
def test_an_undeclared_integer_is_refused_with_the_cases_name(stray: int) -> None:
    label = FILE.copy()
    label[0, 0, 0] = stray
    with pytest.raises(DataError, match=rf"c7: the label holds \[{stray}\]"):
        ToClassesd("label", [[4], [300]])(case(label))


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_a_declared_integer_that_no_class_has_is_background(head: str) -> None:
    out = ToClassesd("label", [[4]], head=head, known=[0, 4, 300])(case())["label"]
    assert out.tolist() == [[[0, 1], [0, 1]]]


@pytest.mark.parametrize(
    ("values", "head", "dtype"),
    [
        ([[1], [2]], "softmax", np.uint8),
        ([[300], [4]], "softmax", np.uint16),
        ([[255]], "softmax", np.uint8),
        ([[7]], "sigmoid", np.uint8),
        ([[65535]], "sigmoid", np.uint16),
    ],
)
def test_class_indices_go_back_to_the_files_integers(
    values: Values, head: str, dtype: type
) -> None:
    integers = [0, *(group[0] for group in values)]
    label = np.random.default_rng(0).choice(integers, (1, 3, 4, 5))
    back = to_integers(to_classes(label, values, head), values, head)
    assert back.dtype == dtype
    assert np.array_equal(back, label[0])


def test_regions_go_back_as_the_last_axis() -> None:
    regions = to_classes(FILE, [[4, 300], [300]], "sigmoid")
    back = to_integers(regions, [[4, 300], [300]], "sigmoid")
    assert back.shape == (2, 2, 2)
    assert back.dtype == np.uint8
    assert np.array_equal(back[..., 0], FILE[0] > 0)
    assert np.array_equal(back[..., 1], FILE[0] == 300)


def test_softmax_decides_by_the_largest_logit() -> None:
    logits = torch.tensor([[[0.0, 1.0]], [[-1.0, 3.0]], [[-2.0, 2.9]]])  # (3, 1, 2)
    assert decide(logits, "softmax").tolist() == [[[0, 1]]]
    assert decide(logits, "softmax").dtype == torch.uint8


def test_sigmoid_decides_each_region_by_a_probability_above_one_half() -> None:
    logits = torch.tensor([[[0.0, 0.1]], [[-3.0, 3.0]]])
    assert decide(logits, "sigmoid").tolist() == [[[0, 1]], [[0, 1]]]
    assert torch.equal(decide(logits, "sigmoid"), (logits.sigmoid() > 0.5).to(torch.uint8))


def test_decisions_replace_the_logits_of_a_case() -> None:
    given = {"pred": torch.tensor([[[0.0]], [[1.0]]]), "case": "c"}
    out = ToDecisiond("pred")(given)  # type: ignore[arg-type]
    assert out["pred"].tolist() == [[[1]]]
    assert out["case"] == "c"
    assert torch.is_floating_point(given["pred"])  # type: ignore[arg-type]
