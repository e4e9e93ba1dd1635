"""Batch, norm, weights, sampling and validation."""

from collections.abc import Callable
from math import prod
from typing import Any

import pytest
import torch

from pipeline.errors import UnknownNameError
from pipeline.networks import build_network
from pipeline.networks.facts import network_facts
from pipeline.planning import Fingerprint, Overrides, Plan, make_plan

Make = Callable[..., Fingerprint]


def with_overrides(facts: Fingerprint, dims: int = 3, **values: Any) -> Plan:
    return make_plan(facts, spatial_dims=dims, overrides=Overrides(**values))


@pytest.mark.parametrize("memory", [None, 1.0, 64.0])
@pytest.mark.parametrize("preset", ["compact", "full"])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_batch_is_never_below_two(
    ct: Fingerprint, preset: str, dims: int, memory: float | None
) -> None:
    plan = make_plan(ct, preset=preset, spatial_dims=dims, memory_gib=memory)
    assert 2 <= plan.batch_size <= 32


def test_small_patches_come_in_larger_batches(make_facts: Make) -> None:
    small = make_plan(make_facts(shape=(16, 16, 16)))
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


def test_an_unpadded_network_keeps_statistics_per_case_by_group_norm(
    make_facts: Make,
) -> None:
    facts = make_facts(variety=0.9)
    unpadded = network_facts("unet_valid", 3, "compact")
    assert unpadded.border
    plan = make_plan(facts, network=unpadded)
    assert plan.norm == "group"
    assert "unpadded" in plan.why["norm"]
    assert make_plan(make_facts(), network=unpadded).norm == "batch"


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_gradients_of_an_even_patch_are_finite_without_padding(norm: str) -> None:
    network = build_network("unet_valid", 2, 1, 2, widths=(4, 4, 4, 4, 4), norm=norm)
    image = torch.randn(2, 1, 188, 188)
    image[0] = -1.0
    network(image).square().mean().backward()
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(bool(g.isfinite().all()) for g in grads)


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
    plan = make_plan(facts)
    windows = prod(-(-2 * 64 // n) for n in plan.patch)
    cost = 100 * windows / (3 * plan.epoch_length * plan.batch_size)
    assert 0.05 < cost / plan.val_interval <= 0.1


def test_without_validation_cases_the_interval_is_one_epoch(make_facts: Make) -> None:
    assert make_plan(make_facts(validation_cases=0)).val_interval == 1


def test_parts_of_the_augmentation_can_be_set(ct: Fingerprint) -> None:
    planned, found = make_plan(ct).augment, with_overrides(ct, augment={"noise": 0.5}).augment
    assert found == {**planned, "noise": 0.5}
    with pytest.raises(UnknownNameError, match="nois"):
        with_overrides(ct, augment={"nois": 0.5})


def test_class_weights_can_be_switched_off(ct: Fingerprint) -> None:
    assert make_plan(ct).class_weights is not None
    assert with_overrides(ct, class_weights="none").class_weights is None
