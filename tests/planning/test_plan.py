"""Written-down sets and the plan that follows: what holds for all values."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import InvalidValueError, PipelineError, UnknownNameError
from pipeline.planning import Fingerprint, Overrides, Plan, make_plan

Make = Callable[..., Fingerprint]


def with_overrides(facts: Fingerprint, dims: int = 3, **values: Any) -> Plan:
    return make_plan(facts, spatial_dims=dims, overrides=Overrides(**values))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", "bone"),
        ("spacing", (3.0, 3.0, 3.0)),
        ("normalisation", "zscore"),
        ("patch", (16, 24, 32)),
        ("batch_size", 3),
        ("epoch_length", 7),
        ("learning_rate", 0.5),
        ("norm", "group"),
        ("class_weights", (1.0, 2.0, 3.0)),
        ("augment", False),
        ("val_interval", 9),
    ],
)
def test_an_override_changes_that_value_and_leaves_what_does_not_follow_from_it(
    ct: Fingerprint, name: str, value: Any
) -> None:
    follows = {
        "spacing": {"patch", "batch_size", "augment", "val_interval"},
        "normalisation": {"window", "norm", "learning_rate"},
        "patch": {"batch_size", "val_interval"},
        "batch_size": {"val_interval"},
        "epoch_length": {"val_interval"},
        "norm": {"learning_rate"},
    }
    planned = make_plan(ct).to_dict()
    found = with_overrides(ct, **{name: value}).to_dict()
    changed = {k for k in planned if k != "why" and planned[k] != found[k]}
    assert name in changed
    assert changed <= {name, *follows.get(name, set())}
    assert found["why"][name] == "set by the user"


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"window": "livr"}, "no CT window 'livr'", "liver"),
        ({"window": [40, 0]}, "window is", "above 0"),
        ({"window": [40]}, "window is", "level, width"),
        ({"norm": "btach"}, "norm is 'btach'", "batch, instance"),
        ({"normalisation": "minmax"}, "normalisation is 'minmax'", "percentile, zscore"),
        ({"patch": [20, 16, 16]}, r"patch \[20, 16, 16\] does not divide", r"[24, 16, 16]"),
        ({"patch": [16, 16]}, "patch is", "3 numbers"),
        ({"patch": [0, 16, 16]}, "does not divide", "[8, 16, 16]"),
        ({"spacing": [1, 1]}, "spacing is", "three numbers"),
        ({"spacing": [1, 1, 0]}, "spacing is", "above 0"),
        ({"batch_size": 0}, "batch_size is 0", "above 0"),
        ({"epoch_length": 0}, "epoch_length is 0", "above 0"),
        ({"learning_rate": -1.0}, "learning_rate is", "above 0"),
        ({"val_interval": 0}, "val_interval is 0", "above 0"),
        ({"class_weights": [1, 2]}, "class_weights is", "3 numbers, background first"),
        ({"class_weights": "some"}, "class_weights is 'some'", "or none"),
    ],
)
def test_impossible_values_are_refused_with_what_would_do(
    ct: Fingerprint, values: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(PipelineError, match=message) as caught:
        with_overrides(ct, **values)
    assert hint in caught.value.hint


def test_an_unknown_preset_is_refused_with_those_that_exist(ct: Fingerprint) -> None:
    with pytest.raises(UnknownNameError, match="no preset 'compcat'") as caught:
        make_plan(ct, preset="compcat")
    assert caught.value.hint == "use compact or full"


def test_3d_of_pictures_is_refused_with_the_setting_that_helps(pictures: Fingerprint) -> None:
    with pytest.raises(InvalidValueError, match="holds 2D pictures") as caught:
        make_plan(pictures)
    assert "--spatial_dims 2" in caught.value.hint


def test_only_two_and_three_dimensions_exist(ct: Fingerprint) -> None:
    with pytest.raises(InvalidValueError, match="spatial_dims is 4"):
        make_plan(ct, spatial_dims=4)


def test_the_same_facts_give_the_same_plan_twice(make_facts: Make) -> None:
    first, second = (make_plan(make_facts(), memory_gib=8.0) for _ in range(2))
    assert first == second
    assert first.to_dict() == second.to_dict()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("preset", ["compact", "full"])
def test_every_value_that_is_there_says_why(ct: Fingerprint, preset: str, dims: int) -> None:
    plan = make_plan(ct, preset=preset, spatial_dims=dims)
    silent = {"spatial_dims", "why"}
    there = {name for name, value in plan.to_dict().items() if value not in (None, False)}
    assert there - silent <= set(plan.why)
    assert set(plan.why) <= set(plan.to_dict())
    assert all(plan.why.values())


def test_one_case_is_enough_for_a_plan_but_not_for_shared_statistics(make_facts: Make) -> None:
    plan = make_plan(make_facts(cases=1, patients=1, variety=0.0, validation_cases=0))
    assert plan.norm == "instance"
    assert "1 cases: too few" in plan.why["norm"]
    assert plan.val_interval == 1


def test_thousands_of_cases_change_nothing_but_how_often_is_validated(make_facts: Make) -> None:
    few = make_plan(make_facts()).to_dict()
    many = make_plan(make_facts(cases=4000, patients=4000, validation_cases=500)).to_dict()
    assert {k for k in few if k != "why" and few[k] != many[k]} == {"val_interval"}
    assert many["val_interval"] > 50


def test_fifty_classes_are_planned_as_two_are(make_facts: Make) -> None:
    names = tuple(f"organ {n}" for n in range(50))
    shares = (0.8, *(0.2 * 2.0**-n for n in range(1, 51)))
    plan = make_plan(make_facts(classes=names, shares=shares))
    assert plan.class_weights is not None
    assert len(plan.class_weights) == len(plan.sampling) == 51
    assert sum(plan.sampling) == pytest.approx(1, abs=1e-4)
    assert plan.patch == make_plan(make_facts()).patch


def test_overlapping_regions_get_a_head_each_and_no_weights(make_facts: Make) -> None:
    regions = make_facts(
        modality=("MR",) * 4,
        classes=("whole", "core", "enhancing"),
        values=((1, 2, 4), (1, 4), (4,)),
        head="sigmoid",
        shares=(0.97, 0.03, 0.01, 0.005),
        intensity=make_facts().intensity * 4,
    )
    plan = make_plan(regions)
    assert regions.out_channels == 3
    assert plan.class_weights is None
    assert "regions" in plan.why["class_weights"]
    assert len(plan.sampling) == 4
