"""Grid and patch: tiny sets and huge ones, thick slices, little memory."""

from collections.abc import Callable
from math import prod
from typing import Any

import pytest

from pipeline.errors import InvalidValueError
from pipeline.planning import Fingerprint, NetworkFacts, Overrides, Plan, make_plan

Make = Callable[..., Fingerprint]


def with_overrides(facts: Fingerprint, dims: int = 3, **values: Any) -> Plan:
    return make_plan(facts, spatial_dims=dims, overrides=Overrides(**values))


def test_the_spacing_is_the_median_where_a_patch_sees_enough_of_the_median_case(
    ct: Fingerprint,
) -> None:
    plan = make_plan(ct)
    assert plan.spacing == (2.0, 2.0, 5.0)
    assert plan.why["spacing"] == "median of the training cases"


def test_huge_volumes_get_a_coarser_spacing_finest_axes_first(make_facts: Make) -> None:
    plan = make_plan(make_facts(shape=(512, 512, 20), spacing=(0.7, 0.7, 5.0)))
    assert plan.spacing is not None
    assert plan.spacing[0] == plan.spacing[1] > 0.7
    assert plan.spacing[2] == 5.0
    seen = 512 * 512 * 20 * prod(o / n for o, n in zip((0.7, 0.7, 5), plan.spacing, strict=True))
    assert seen == pytest.approx(8 * 32**3, rel=0.02)  # eight patches of the compact preset
    assert "coarser than the median" in plan.why["spacing"]


def test_a_coarser_spacing_never_overtakes_the_next_axis_before_it_joins(make_facts: Make) -> None:
    plan = make_plan(make_facts(shape=(1000, 1000, 1000), spacing=(0.3, 0.5, 0.8)))
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
    plan = make_plan(make_facts(shape=(400, 200, 100), spacing=(1.0, 1.0, 1.0)))
    assert plan.spacing is not None
    assert all(n % 8 == 0 for n in plan.patch)
    assert plan.patch[0] > plan.patch[1] > plan.patch[2]
    assert prod(plan.patch) <= 32**3


def test_slices_are_walked_along_the_thickest_direction(make_facts: Make) -> None:
    sagittal = make_facts(shape=(24, 48, 40), spacing=(5.0, 2.0, 2.0))
    plan = make_plan(sagittal, spatial_dims=2)
    assert plan.slice_axis == 0
    assert plan.patch == (48, 40)


def test_slices_are_seen_one_by_one_unless_neighbours_are_asked_for(make_facts: Make) -> None:
    facts = make_facts()
    assert make_plan(facts, spatial_dims=2).slices == 1
    assert with_overrides(facts, 2, slices=5).slices == 5


@pytest.mark.parametrize("number", [0, 2, -1, 2.5])
def test_an_even_number_of_slices_has_no_middle_one(number: float, make_facts: Make) -> None:
    with pytest.raises(InvalidValueError) as caught:
        with_overrides(make_facts(), 2, slices=number)
    assert "odd number" in str(caught.value.hint)


def test_a_3d_network_sees_its_neighbours_anyway(make_facts: Make) -> None:
    with pytest.raises(InvalidValueError, match="does not go slice by slice"):
        with_overrides(make_facts(), 3, slices=3)


def test_pictures_have_no_slices(pictures: Fingerprint) -> None:
    with pytest.raises(InvalidValueError, match="does not go slice by slice"):
        with_overrides(pictures, 2, slices=3)


def test_little_memory_shrinks_the_patch_and_says_so(make_facts: Make) -> None:
    facts = make_facts(shape=(256, 256, 256), spacing=(1.0, 1.0, 1.0))
    wide = make_plan(facts, preset="full", memory_gib=64.0)
    narrow = make_plan(facts, preset="full", memory_gib=4.0)
    assert wide == make_plan(facts, preset="full")
    assert prod(narrow.patch) < prod(wide.patch)
    assert "memory of 4.0 GiB forces fewer than 884736" in narrow.why["patch"]
    assert "memory" not in wide.why["patch"]
    assert "elsewhere it is finer" in narrow.why["spacing"]


def test_memory_takes_patches_before_it_takes_their_size(
    make_facts: Make, make_network: Callable[..., NetworkFacts]
) -> None:
    facts = make_facts(shape=(600, 600, 20), spacing=(1.0, 1.0, 5.0))
    network = make_network(2, 16, bytes_per_voxel=5000.0)
    plans = [
        make_plan(facts, preset="full", spatial_dims=2, memory_gib=gib, network=network)
        for gib in (100.0, 10.0)
    ]
    assert plans[0].patch == plans[1].patch
    assert plans[0].batch_size > plans[1].batch_size >= 2
    assert f"elsewhere it is {plans[0].batch_size}" in plans[1].why["batch_size"]


def test_a_network_that_takes_strides_leaves_a_thick_axis_alone(
    make_facts: Make, make_network: Callable[..., NetworkFacts]
) -> None:
    thick = make_facts(shape=(64, 64, 20), spacing=(1.5, 1.5, 6.0))
    plan = make_plan(thick, network=make_network())
    assert plan.strides == ((2, 2, 1), (2, 2, 1), (2, 2, 2))
    assert plan.kernels == ((3, 3, 1), (3, 3, 1), (3, 3, 3), (3, 3, 3))
    assert plan.patch[2] % 8  # no longer a multiple of what the other axes need
    assert all(n % 8 == 0 for n in plan.patch[:2])
    assert "voxels of 6 mm beside 1.5 mm" in plan.why["strides"]
    assert plan.why["kernels"]


def test_a_network_without_strides_keeps_its_divisor_along_a_thick_axis_and_it_is_said(
    make_facts: Make, make_network: Callable[..., NetworkFacts]
) -> None:
    thick = make_facts(shape=(64, 64, 20), spacing=(1.5, 1.5, 6.0))
    plan = make_plan(thick, network=make_network(options=("norm",)))
    assert (plan.strides, plan.kernels) == (None, None)
    assert all(n % 8 == 0 for n in plan.patch)
    assert "halves all axes alike" in plan.why["strides"]


def test_voxels_about_as_long_as_wide_need_no_strides(
    ct: Fingerprint, make_facts: Make, make_network: Callable[..., NetworkFacts]
) -> None:
    plan = make_plan(make_facts(spacing=(2.0, 2.0, 3.0)), network=make_network())
    assert (plan.strides, plan.kernels) == (None, None)
    assert "none has voxels twice as long" in plan.why["strides"]


def test_slices_of_a_thick_set_are_planned_by_their_own_axes(
    make_facts: Make, make_network: Callable[..., NetworkFacts]
) -> None:
    thick = make_facts(shape=(64, 64, 20), spacing=(1.5, 1.5, 6.0))
    plan = make_plan(thick, spatial_dims=2, network=make_network(2))
    assert plan.slice_axis == 2
    assert plan.strides is None


def test_a_tiny_volume_gets_a_patch_that_leaves_two_voxels_for_the_norm(
    make_facts: Make, make_network: Callable[..., NetworkFacts]
) -> None:
    tiny = make_facts(shape=(5, 6, 4), spacing=(1.0, 1.0, 1.0))
    without = make_plan(tiny, network=make_network(options=("norm",)))
    assert without.patch == (16, 8, 8)
    strided = make_plan(tiny, network=make_network())
    assert strided.patch == (6, 6, 4)  # halved once, after which two or three are left
    assert strided.strides == ((2, 2, 2), (1, 1, 1), (1, 1, 1))


def test_a_single_slice_may_be_a_volume(
    make_facts: Make, make_network: Callable[..., NetworkFacts]
) -> None:
    flat = make_facts(shape=(96, 96, 1), spacing=(1.0, 1.0, 5.0))
    plan = make_plan(flat, network=make_network())
    assert plan.patch[2] == 1
    assert plan.strides == ((2, 2, 1),) * 3


def test_an_unpadded_network_gets_a_patch_of_its_own_sizes(
    make_facts: Make, make_network: Callable[..., NetworkFacts]
) -> None:
    # Ronneberger's: 16 m + 12, and 184 less come out
    network = make_network(2, 16, offset=12, border=184, smallest=(188, 188), options=("norm",))
    plan = make_plan(make_facts(shape=(64, 64, 30)), spatial_dims=2, network=network)
    assert all((n - 12) % 16 == 0 and n >= 188 for n in plan.patch)
    with pytest.raises(InvalidValueError, match="does not fit the network") as caught:
        make_plan(
            make_facts(), spatial_dims=2, network=network, overrides=Overrides(patch=[192, 192])
        )
    assert "[204, 204]" in caught.value.hint


def test_the_median_case_decides_and_not_a_huge_one_beside_it(make_facts: Make) -> None:
    # the fingerprint has the median; a plan of 512 slices is made for 512 slices
    huge = make_plan(make_facts(shape=(512, 512, 900), spacing=(0.8, 0.8, 1.0)), preset="full")
    assert huge.spacing is not None
    assert prod(huge.patch) <= 96**3
    seen = 512 * 512 * 900 * prod(o / n for o, n in zip((0.8, 0.8, 1.0), huge.spacing, strict=True))
    assert seen <= 64 * 96**3 * 1.02
