"""What is done to intensities, by modality and by what the values are like."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.planning import Fingerprint, Overrides, Plan, make_plan
from pipeline.planning.facts import Intensity, Polarity

Make = Callable[..., Fingerprint]


def with_overrides(facts: Fingerprint, dims: int = 3, **values: Any) -> Plan:
    return make_plan(facts, spatial_dims=dims, overrides=Overrides(**values))


def test_ct_takes_the_window_that_the_manifest_names(make_facts: Make) -> None:
    plan = make_plan(make_facts(window="liver"))
    assert plan.normalisation == "window"
    assert plan.window == ((-45.0, 105.0),)  # level 30, width 150
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


@pytest.mark.parametrize(
    ("window", "fact"), [("liver", "CT window 'liver' for MR"), ([40, 400], "is zscore")]
)
def test_a_window_is_refused_where_values_have_no_unit_unless_forced(
    mr: Fingerprint, window: Any, fact: str
) -> None:
    with pytest.raises(InvalidValueError, match=fact) as caught:
        with_overrides(mr, window=window)
    assert "--normalisation window" in caught.value.hint
    forced = with_overrides(mr, window=window, normalisation="window")
    assert forced.window in (((-45.0, 105.0),), ((-160.0, 240.0),))


def test_a_ct_window_named_in_the_manifest_of_an_mr_set_is_refused(make_facts: Make) -> None:
    with pytest.raises(InvalidValueError, match="CT window 'liver' for MR"):
        make_plan(make_facts(modality=("MR",), window="liver"))


def test_each_channel_may_have_its_window(make_facts: Make, ct: Fingerprint) -> None:
    two = make_facts(modality=("CT", "CT"), intensity=ct.intensity * 2)
    plan = with_overrides(two, window=[[0, 100], [50, 400]])
    assert plan.window == ((-50.0, 50.0), (-150.0, 250.0))
    assert with_overrides(two, window="brain").window == ((0.0, 80.0),) * 2
    with pytest.raises(InvalidValueError, match="3 windows for 2 channels"):
        with_overrides(two, window=[[0, 100], [50, 400], "lung"])


def test_one_channel_may_be_seen_through_several_windows(ct: Fingerprint) -> None:
    assert with_overrides(ct, window=["lung", "bone"]).window == (
        (-1350.0, 150.0),
        (-500.0, 1300.0),
    )


def suv(**changes: float) -> Intensity:
    values = {"mean": 6.0, "std": 5.0, "low": 1.0, "high": 30.0, "lowest": 0.0}
    return Intensity(**{**values, **changes})


def test_pet_in_suv_is_cut_at_a_high_percentile_because_a_few_voxels_are_far_brighter(
    make_facts: Make,
) -> None:
    plan = make_plan(make_facts(modality=("PET",), intensity=(suv(),)))
    assert plan.normalisation == "window"
    assert plan.window == ((0.0, 30.0),)
    assert "SUV" in plan.why["normalisation"]
    assert "hot" in plan.why["window"]


@pytest.mark.parametrize("values", [suv(high=40_000.0), suv(lowest=-3.0)])
def test_pet_that_is_no_suv_is_scaled_case_by_case_by_percentiles_for_its_heavy_tail(
    make_facts: Make, values: Intensity
) -> None:
    plan = make_plan(make_facts(modality=("PET",), intensity=(values,)))
    assert (plan.normalisation, plan.window) == ("percentile", None)
    assert plan.norm == "instance"
    assert "far brighter" in plan.why["normalisation"]


def test_ct_beside_pet_keeps_its_window_and_pet_gets_its_own(
    make_facts: Make, ct: Fingerprint
) -> None:
    facts = make_facts(modality=("CT", "PET"), intensity=(ct.intensity[0], suv()))
    assert make_plan(facts).window == ((-140.0, 260.0), (0.0, 30.0))
    named = make_facts(modality=("CT", "PET"), intensity=facts.intensity, window="lung")
    assert make_plan(named).window == ((-1350.0, 150.0), (0.0, 30.0))


def test_ct_beside_mr_is_scaled_case_by_case_because_one_of_them_has_no_unit(
    make_facts: Make, ct: Fingerprint
) -> None:
    plan = make_plan(make_facts(modality=("CT", "MR"), intensity=ct.intensity * 2))
    assert plan.normalisation == "zscore"
    assert "CT, MR" in plan.why["normalisation"]


def test_a_head_cut_out_of_zeros_is_scaled_by_what_is_not_zero(make_facts: Make) -> None:
    values = Intensity(300.0, 80.0, 20.0, 700.0, 0.0, zeros=0.6)
    plan = make_plan(make_facts(modality=("MR",) * 4, intensity=(values,) * 4))
    assert plan.normalisation == "zscore_nonzero"
    assert "60%" in plan.why["normalisation"]
    little = Intensity(300.0, 80.0, 20.0, 700.0, 0.0, zeros=0.1)
    assert make_plan(make_facts(modality=("MR",), intensity=(little,))).normalisation == "zscore"


def test_statistics_of_the_set_are_planned_where_they_are_asked_for(ct: Fingerprint) -> None:
    plan = with_overrides(ct, normalisation="dataset")
    assert plan.window == ((-40.0, 160.0),)  # the percentiles themselves, as nnU-Net has them
    assert plan.statistics == ((50.0, 20.0),)
    assert make_plan(ct).statistics is None
    several = with_overrides(ct, normalisation="dataset", window=["lung", "bone"])
    assert several.statistics == ((50.0, 20.0),) * 2


@pytest.mark.parametrize("modality", ["photograph", "X-ray", "US", "OCT", "microscopy"])
def test_pictures_are_scaled_one_by_one(make_picture_facts: Make, modality: str) -> None:
    plan = make_plan(make_picture_facts(modality=(modality,) * 3), spatial_dims=2)
    assert (plan.normalisation, plan.window) == ("zscore", None)


@pytest.mark.parametrize(
    ("darker", "told", "modality", "turned", "reason"),
    [
        (0.06, 1.0, "microscopy", True, "6% of the cases have a foreground darker"),
        (0.5, 0.95, "microscopy", True, "right in 95%"),
        (0.0, 1.0, "microscopy", False, "one polarity"),
        (1.0, 1.0, "microscopy", False, "one polarity"),
        (0.5, 0.6, "microscopy", False, "tells only 60%"),
        (0.5, 1.0, "photograph", False, "only microscopy"),
    ],
)
def test_pictures_are_turned_where_light_and_dark_are_mixed_and_the_image_tells_which(
    make_picture_facts: Make, darker: float, told: float, modality: str, turned: bool, reason: str
) -> None:
    facts = make_picture_facts(modality=(modality,), polarity=Polarity(darker, told))
    plan = make_plan(facts, spatial_dims=2)
    assert plan.polarity is turned
    assert reason in plan.why["polarity"]
    assert with_overrides(facts, 2, polarity=not turned).polarity is not turned


def test_volumes_are_not_turned(mr: Fingerprint) -> None:
    assert make_plan(mr).polarity is False


def test_grey_pictures_beside_coloured_ones_get_three_channels(make_picture_facts: Make) -> None:
    mixed = make_picture_facts(modality=("microscopy",) * 3, mixed=True)
    assert make_plan(mixed, spatial_dims=2).channels == 3
    assert make_plan(make_picture_facts(), spatial_dims=2).channels is None


def test_contrast_is_the_users_choice_alone(ct: Fingerprint) -> None:
    assert make_plan(ct).contrast is None
    assert with_overrides(ct, contrast="clahe").contrast == "clahe"
    with pytest.raises(UnknownNameError, match="contrast is 'clache'") as caught:
        with_overrides(ct, contrast="clache")
    assert "clahe" in caught.value.hint
