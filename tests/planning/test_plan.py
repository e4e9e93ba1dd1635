"""Written-down cases: the facts of a set, the plan that follows, and why."""

from collections.abc import Callable
from math import prod
from typing import Any

import pytest

from pipeline.errors import InvalidValueError, PipelineError, UnknownNameError
from pipeline.planning import Fingerprint, Overrides, Plan, make_plan

Make = Callable[..., Fingerprint]


def with_overrides(facts: Fingerprint, dims: int = 3, **values: Any) -> Plan:
    return make_plan(facts, spatial_dims=dims, divisor=8, overrides=Overrides(**values))


def test_ct_takes_the_window_that_the_manifest_names(make_facts: Make) -> None:
    plan = make_plan(make_facts(window="liver"))
    assert plan.normalisation == "window"
    assert plan.window == ((-20.0, 140.0),)  # level 60, width 160
    assert plan.why["window"] == "named in the manifest"


def test_ct_without_a_window_takes_the_percentiles_widened_by_half_their_distance(
    ct: Fingerprint,
) -> None:
    # -40 to 160 HU: 200 apart, so 100 more at both ends
    assert make_plan(ct).window == ((-140.0, 260.0),)


def test_the_users_window_outranks_the_manifests(make_facts: Make) -> None:
    plan = with_overrides(make_facts(window="liver"), window=[0, 100])
    assert plan.window == ((-50.0, 50.0),)
    assert plan.why["window"] == "set by the user"


def test_mr_is_scaled_case_by_case_because_its_values_have_no_unit(mr: Fingerprint) -> None:
    plan = make_plan(mr)
    assert plan.normalisation == "zscore"
    assert plan.window is None
    assert "MR" in plan.why["normalisation"]


def test_a_window_is_refused_where_values_have_no_unit(mr: Fingerprint) -> None:
    with pytest.raises(InvalidValueError, match="normalisation is zscore") as caught:
        with_overrides(mr, window="liver")
    assert "--normalisation window" in caught.value.hint


def test_each_channel_may_have_its_window(make_facts: Make, ct: Fingerprint) -> None:
    two = make_facts(modality=("CT", "CT"), intensity=ct.intensity * 2)
    plan = with_overrides(two, window=[[0, 100], [50, 400]])
    assert plan.window == ((-50.0, 50.0), (-150.0, 250.0))
    assert with_overrides(two, window="brain").window == ((0.0, 80.0),) * 2
    with pytest.raises(InvalidValueError, match="2 windows for 1 channels"):
        with_overrides(ct, window=[[0, 100], [50, 400]])


def test_the_spacing_is_the_median_where_a_patch_sees_enough_of_the_median_case(
    ct: Fingerprint,
) -> None:
    plan = make_plan(ct)
    assert plan.spacing == (2.0, 2.0, 5.0)
    assert plan.why["spacing"] == "median of the training cases"


def test_huge_volumes_get_a_coarser_spacing_finest_axes_first(make_facts: Make) -> None:
    plan = make_plan(make_facts(shape=(512, 512, 20), spacing=(0.7, 0.7, 5.0)), divisor=8)
    assert plan.spacing is not None
    assert plan.spacing[0] == plan.spacing[1] > 0.7
    assert plan.spacing[2] == 5.0
    seen = 512 * 512 * 20 * prod(o / n for o, n in zip((0.7, 0.7, 5), plan.spacing, strict=True))
    assert seen == pytest.approx(8 * 32**3, rel=0.02)  # eight patches of the compact preset
    assert "coarser than the median" in plan.why["spacing"]


def test_a_coarser_spacing_never_overtakes_the_next_axis_before_it_joins(make_facts: Make) -> None:
    plan = make_plan(make_facts(shape=(1000, 1000, 1000), spacing=(0.3, 0.5, 0.8)), divisor=8)
    assert plan.spacing is not None
    assert len(set(plan.spacing)) == 1


def test_a_2d_network_does_not_make_the_slices_thicker(make_facts: Make) -> None:
    facts = make_facts(shape=(2000, 2000, 3000), spacing=(0.1, 0.1, 0.2))
    plan = make_plan(facts, spatial_dims=2)
    assert plan.spacing is not None
    assert plan.spacing[2] == 0.2
    assert plan.spacing[0] > 0.1
    assert plan.slice_axis == 2


def test_pictures_have_no_spacing(pictures: Fingerprint) -> None:
    plan = make_plan(pictures, spatial_dims=2)
    assert plan.spacing is None
    assert plan.slice_axis is None
    assert with_overrides(pictures, 2, spacing=[1, 1, 1]).spacing is None


def test_the_patch_is_the_median_case_rounded_up_where_that_fits(make_facts: Make) -> None:
    plan = make_plan(make_facts(shape=(35, 50, 30), spacing=(1.0, 1.0, 1.0)), preset="full")
    assert plan.patch == (48, 64, 32)  # never larger than the next multiple of 16


def test_a_larger_case_gives_a_patch_of_its_shape(make_facts: Make) -> None:
    plan = make_plan(make_facts(shape=(400, 200, 100), spacing=(1.0, 1.0, 1.0)), divisor=8)
    assert plan.spacing is not None
    assert all(n % 8 == 0 for n in plan.patch)
    assert plan.patch[0] > plan.patch[1] > plan.patch[2]
    assert prod(plan.patch) <= 32**3


def test_slices_are_walked_along_the_thickest_direction(make_facts: Make) -> None:
    sagittal = make_facts(shape=(24, 48, 40), spacing=(5.0, 2.0, 2.0))
    plan = make_plan(sagittal, spatial_dims=2, divisor=8)
    assert plan.slice_axis == 0
    assert plan.patch == (48, 40)


def test_little_memory_shrinks_the_patch_and_says_so(make_facts: Make) -> None:
    facts = make_facts(shape=(256, 256, 256), spacing=(1.0, 1.0, 1.0))
    wide = make_plan(facts, preset="full", memory_gib=64.0)
    narrow = make_plan(facts, preset="full", memory_gib=4.0)
    assert wide == make_plan(facts, preset="full")
    assert prod(narrow.patch) < prod(wide.patch)
    assert "memory of 4.0 GiB" in narrow.why["patch"]
    assert "memory" not in wide.why["patch"]


@pytest.mark.parametrize("memory", [None, 1.0, 64.0])
@pytest.mark.parametrize("preset", ["compact", "full"])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_batch_is_never_below_two(
    ct: Fingerprint, preset: str, dims: int, memory: float | None
) -> None:
    plan = make_plan(ct, preset=preset, spatial_dims=dims, memory_gib=memory)
    assert 2 <= plan.batch_size <= 32


def test_small_patches_come_in_larger_batches(make_facts: Make) -> None:
    small = make_plan(make_facts(shape=(16, 16, 16)), divisor=8)
    assert small.patch == (16, 16, 16)
    assert small.batch_size == 16  # 2 * 32**3 voxels, the preset's largest batch


def test_a_uniform_ct_set_shares_its_statistics_by_batch_norm(ct: Fingerprint) -> None:
    plan = make_plan(ct)
    assert plan.norm == "batch"
    assert plan.learning_rate == 2e-2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"variety": 0.9}, "0.9 of the spread"), ({"modality": ("MR",)}, "zscore")],
)
def test_a_varied_set_or_one_without_units_keeps_statistics_per_case_by_instance_norm(
    make_facts: Make, changes: dict[str, Any], reason: str
) -> None:
    plan = make_plan(make_facts(**changes))
    assert plan.norm == "instance"
    assert reason in plan.why["norm"]
    assert plan.learning_rate == 3e-3


def test_classes_weigh_by_share_to_the_power_of_minus_one_half(make_facts: Make) -> None:
    plan = make_plan(make_facts(shares=(0.96, 0.0384, 0.0016)))
    assert plan.class_weights is not None
    background, common, rare = plan.class_weights
    assert common / background == pytest.approx(5, rel=1e-3)  # 0.96 / 0.0384 = 25
    assert rare / common == pytest.approx(24**0.5, rel=1e-3)
    mean = 0.96 * background + 0.0384 * common + 0.0016 * rare
    assert mean == pytest.approx(1, rel=1e-3)


def test_a_class_that_no_case_has_weighs_like_the_rarest(make_facts: Make) -> None:
    plan = make_plan(make_facts(shares=(0.99, 0.01, 0.0)))
    assert plan.class_weights is not None
    assert plan.class_weights[2] == plan.class_weights[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"shares": (0.8, 0.1, 0.1)},
        {"head": "sigmoid", "shares": (0.99, 0.005, 0.005)},
    ],
)
def test_common_classes_and_regions_are_not_weighed(
    make_facts: Make, changes: dict[str, Any]
) -> None:
    assert make_plan(make_facts(**changes)).class_weights is None


def test_a_third_of_the_patches_lie_anywhere_and_rare_classes_are_seen_more_often(
    make_facts: Make,
) -> None:
    anywhere, common, rare = make_plan(make_facts(shares=(0.9, 0.08, 0.01))).sampling
    assert anywhere == pytest.approx(1 / 3, abs=1e-5)
    assert anywhere + common + rare == pytest.approx(1, abs=1e-5)
    assert rare / common == pytest.approx(2, rel=1e-4)  # (0.08 / 0.01) ** (1 / 3)


def test_a_class_that_no_case_has_is_not_looked_for(make_facts: Make) -> None:
    assert make_plan(make_facts(shares=(0.9, 0.1, 0.0))).sampling[2] == 0
    assert make_plan(make_facts(shares=(1.0, 0.0, 0.0))).sampling == (1.0, 0.0, 0.0)


def test_validation_takes_at_most_a_tenth_of_the_training(make_facts: Make) -> None:
    facts = make_facts(shape=(64, 64, 64), spacing=(1.0, 1.0, 1.0), validation_cases=100)
    plan = make_plan(facts, divisor=8)
    windows = prod(-(-2 * 64 // n) for n in plan.patch)
    cost = 100 * windows / (3 * plan.epoch_length * plan.batch_size)
    assert 0.05 < cost / plan.val_interval <= 0.1


def test_without_validation_cases_the_interval_is_one_epoch(make_facts: Make) -> None:
    assert make_plan(make_facts(validation_cases=0)).val_interval == 1


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
        "spacing": {"patch", "batch_size", "val_interval"},
        "normalisation": {"window", "norm", "learning_rate"},
        "patch": {"batch_size", "val_interval"},
        "batch_size": {"val_interval"},
        "epoch_length": {"val_interval"},
        "norm": {"learning_rate"},
    }
    planned = make_plan(ct, divisor=8).to_dict()
    found = with_overrides(ct, **{name: value}).to_dict()
    changed = {k for k in planned if k != "why" and planned[k] != found[k]}
    assert name in changed
    assert changed <= {name, *follows.get(name, set())}
    assert found["why"][name] == "set by the user"


def test_parts_of_the_augmentation_can_be_set(ct: Fingerprint) -> None:
    planned, found = make_plan(ct).augment, with_overrides(ct, augment={"noise": 0.5}).augment
    assert found == {**planned, "noise": 0.5}
    with pytest.raises(UnknownNameError, match="nois"):
        with_overrides(ct, augment={"nois": 0.5})


def test_class_weights_can_be_switched_off(ct: Fingerprint) -> None:
    assert make_plan(ct).class_weights is not None
    assert with_overrides(ct, class_weights="none").class_weights is None


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"window": "livr"}, "no CT window 'livr'", "liver"),
        ({"window": [40, 0]}, "window is", "above 0"),
        ({"window": [40]}, "window is", "level, width"),
        ({"norm": "btach"}, "norm is 'btach'", "batch, instance"),
        ({"normalisation": "minmax"}, "normalisation is 'minmax'", "window, zscore"),
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


def test_every_value_says_why(ct: Fingerprint) -> None:
    plan = make_plan(ct)
    silent = {"spatial_dims", "slice_axis", "overlap", "why"}
    assert set(plan.why) == set(plan.to_dict()) - silent
    assert all(plan.why.values())
