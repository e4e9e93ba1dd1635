import pytest

from pipeline.check import CaseFacts, ImageFacts, LabelFacts
from pipeline.check.sides import check_sides, offset, partner_of, side_of

PAIR = {"left kidney": 1, "right kidney": 2}


def _case(name: str, centres: dict[int, float], middle: float | None = 0.0) -> CaseFacts:
    return CaseFacts(name, ImageFacts((2, 2, 2), middle=middle), LabelFacts((2,), centres=centres))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("left kidney", -1),
        ("kidney_right", 1),
        ("Lung-L", -1),
        ("rib_left_1", -1),
        ("right2", 1),
        ("liver", 0),
        ("left to right", 0),
        ("vertebrae_L5", 0),  # the fifth of the lumbar ones
    ],
)
def test_a_name_says_its_side(name: str, side: int) -> None:
    assert side_of(name) == side


def test_the_partner_is_the_same_thing_on_the_other_side() -> None:
    labels = {"left kidney": 1, "right lung": 2, "right kidney": 3}
    assert partner_of("left kidney", labels) == "right kidney"
    assert partner_of("right lung", labels) is None


def test_a_pair_is_compared_with_each_other_and_not_with_the_body() -> None:
    case = _case("x", {1: 50.0, 2: 90.0})
    assert offset(case, "left kidney", PAIR) == 20
    assert offset(case, "right kidney", PAIR) == 20


def test_one_without_its_partner_is_compared_with_the_body() -> None:
    assert offset(_case("x", {1: 50.0}), "left kidney", PAIR) == -50
    assert offset(_case("x", {1: 50.0}, None), "left kidney", PAIR) is None


def test_few_swapped_cases_are_named_and_many_are_told_of_the_set() -> None:
    right, wrong = {1: -40.0, 2: 40.0}, {1: 40.0, 2: -40.0}
    few = [_case("a", right), _case("b", right), _case("c", wrong)]
    assert {f.case for f in check_sides(few, PAIR)} == {"c"}
    many = [_case("a", wrong), _case("b", right), _case("c", wrong)]
    assert {f.case for f in check_sides(many, PAIR)} == {"-"}
