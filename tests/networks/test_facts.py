"""A plan asks a network for its facts: stored ones without torch, any others counted."""

import subprocess
import sys

import pytest

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.networks import NETWORKS, build_network, network_options, preset_options
from pipeline.networks.facts import network_facts


@pytest.mark.parametrize("preset", ["compact", "full"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("unetr", "swin_unetr")])
def test_the_facts_are_those_of_the_built_network(name: str, dims: int, preset: str) -> None:
    import torch

    with torch.device("meta"):
        network = build_network(name, dims, 1, 2, **preset_options(name, preset, dims))
    facts = network_facts(name, dims, preset)
    assert facts.divisor == network.divisors
    assert facts.heads == network.heads
    assert facts.options == network_options(name)
    for length in (1, 40, 130, 190, 300):
        size = facts.next_size([length] * dims)
        assert size == network.next_size(size)
        assert min(size) - facts.border == min(map(network.output_size, size))
        assert max(size) < max(length, *facts.smallest) + max(facts.divisor)


def test_unpadded_networks_tell_what_they_lose() -> None:
    facts = network_facts("unet_valid", 2)
    assert (facts.offset, facts.border, facts.smallest) == (12, 184, (188, 188))
    assert facts.next_size((572, 573)) == (572, 588)
    facts = network_facts("unet3d", 3, padded=True)
    assert (facts.offset, facts.border, facts.smallest) == (0, 0, (8, 8, 8))


def test_options_change_the_facts() -> None:
    plain, deep = network_facts("unet", 3), network_facts("unet", 3, deep_supervision=True)
    assert (plain.heads, deep.heads) == (1, 3)
    wide = network_facts("unet", 3, widths=(16, 32, 64, 128))
    assert wide.bytes_per_voxel == pytest.approx(2 * plain.bytes_per_voxel, rel=0.02)
    flat = network_facts("unet", 3, strides=((2, 2, 1), (2, 2, 1), 2))
    assert flat.divisor == (8, 8, 2)


def test_memory_grows_with_patch_and_batch() -> None:
    facts = network_facts("unet", 3, "full")
    weights = facts.training_bytes((0, 0, 0), 1)
    assert weights == 20 * 90_298_561
    assert facts.training_bytes((96, 96, 96), 2) - weights == pytest.approx(5.8 * 2**30, rel=0.01)


def test_what_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="attunt"):
        network_facts("attunt", 2)
    with pytest.raises(UnknownNameError, match="tiny"):
        network_facts("unet", 2, "tiny")
    with pytest.raises(UnknownNameError, match="deep"):
        network_facts("unet", 2, deep=True)
    with pytest.raises(InvalidValueError, match="spatial_dims is 4"):
        network_facts("unet", 4)


@pytest.mark.parametrize(
    "program",
    [
        "from pipeline.networks.facts import network_facts; network_facts('attunet', 3)",
        "from pipeline.cli import main; main(['networks'])",
        "from pipeline.cli import main; main(['networks', 'unetpp'])",
    ],
)
def test_facts_and_the_list_of_networks_come_without_torch(program: str) -> None:
    check = "; import sys; sys.exit(3 if 'torch' in sys.modules else 0)"
    done = subprocess.run([sys.executable, "-c", program + check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
