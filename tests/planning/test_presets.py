"""What the memory of a device leaves of a preset."""

import math
from collections.abc import Callable

import pytest

from pipeline.planning import NetworkFacts
from pipeline.planning.presets import PRESETS, update_bytes

Make = Callable[..., NetworkFacts]


def test_an_update_keeps_activations_loss_weights_gradients_and_moments(make_network: Make) -> None:
    network = make_network(bytes_per_voxel=300.0, parameters=10)
    # 300 and a third more, five numbers of four bytes for each of seven classes, and for a weight
    assert update_bytes(network, 2, 7) == pytest.approx(2 * (400 + 7 * 20) + 10 * 20)


@pytest.mark.parametrize("memory", [None, math.inf, 1000.0])
def test_enough_memory_leaves_the_preset_as_it_is(make_network: Make, memory: float | None) -> None:
    room = PRESETS["full"].room(3, memory, make_network(), 3)
    assert room.voxels == 96**3
    assert room.update == 2 * 96**3
    assert not room.forced


def test_little_memory_takes_patches_first_and_then_voxels(make_network: Make) -> None:
    preset, network = PRESETS["compact"], make_network(2, bytes_per_voxel=10_000.0)
    wanted = 8 * 128**2
    needed = update_bytes(network, wanted, 2) / 0.8 / 2**30
    half, tenth = preset.room(2, needed / 2, network, 2), preset.room(2, needed / 10, network, 2)
    assert half.voxels == 128**2
    assert 0.4 * wanted < half.update < 0.51 * wanted
    assert tenth.voxels < 128**2
    assert 2 * tenth.voxels <= tenth.update
    assert f"memory of {needed / 2:.1f} GiB" in half.forced


def test_fifty_classes_need_more_memory_than_two(make_network: Make) -> None:
    room = [PRESETS["full"].room(3, 2.0, make_network(), classes).update for classes in (3, 51)]
    assert room[1] < 0.7 * room[0]
