"""Wirings read off the built networks, against the papers' figures."""

from collections import Counter
from itertools import product
from math import log2
from typing import Any

import pytest

from pipeline.figures.wiring import Wiring
from pipeline.networks import NETWORKS, build_network
from pipeline.networks.wiring import network_wiring

NARROW: dict[str, Any] = {"widths": (2, 4, 6, 8, 10)}


def steps(wiring: Wiring) -> Counter[int]:
    """How many arrows go how many levels down; 0 along a level, below 0 up."""
    level = [block.level for block in wiring.blocks]
    return Counter(level[b] - level[a] for a, b in wiring.arrows)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["unet", "unet_compact", "attunet", "r2unet"])
def test_a_unet_is_the_letter(name: str, dims: int) -> None:
    wiring = network_wiring(build_network(name, dims, 1, 2, widths=(4, 8, 16)))
    assert [(b.level, b.channels, b.output) for b in wiring.blocks] == [
        (0, 4, False),
        (1, 8, False),
        (2, 16, False),
        (1, 8, False),
        (0, 4, True),
    ]
    assert wiring.arrows == ((0, 1), (0, 4), (1, 2), (1, 3), (2, 3), (3, 4))


def test_an_unpadded_network_is_the_letter_too() -> None:
    wiring = network_wiring(build_network("unet_valid", 2, 1, 2, **NARROW))
    assert [block.level for block in wiring.blocks] == [0, 1, 2, 3, 4, 3, 2, 1, 0]
    assert steps(wiring) == {1: 4, 0: 4, -1: 4}


@pytest.mark.parametrize("name", ["unetpp", "unetpp_zhou"])
def test_nodes_of_unetpp_are_fed_by_their_row_and_the_node_below(name: str) -> None:
    wiring = network_wiring(build_network(name, 2, 1, 2, deep_supervision=True, **NARROW))
    rows: dict[int, list[int]] = {}
    for place, block in enumerate(wiring.blocks):
        rows.setdefault(block.level, []).append(place)
    assert [len(rows[level]) for level in range(5)] == [5, 4, 3, 2, 1]
    node = {(i, j): place for i, row in rows.items() for j, place in enumerate(row)}
    expected = {(node[i, 0], node[i + 1, 0]) for i in range(4)}
    for i, j in product(range(5), range(1, 5)):
        if i + j <= 4:
            expected |= {(node[i, k], node[i, j]) for k in range(j)}
            expected.add((node[i + 1, j - 1], node[i, j]))
    assert set(wiring.arrows) == expected
    outputs = [place for place, block in enumerate(wiring.blocks) if block.output]
    assert outputs == [node[0, j] for j in range(1, 5)]


def test_each_decoder_level_of_unet3plus_is_fed_by_all_five_scales() -> None:
    wiring = network_wiring(build_network("unet3plus", 2, 1, 2, **NARROW))
    assert [block.level for block in wiring.blocks] == [0, 1, 2, 3, 4, 3, 2, 1, 0]
    fed = Counter(b for _, b in wiring.arrows)
    assert [fed[place] for place in range(5, 9)] == [5] * 4


def test_bionet_goes_down_and_up_as_often_as_it_iterates() -> None:
    bottoms = []
    for t in (1, 2, 3):
        wiring = network_wiring(build_network("bionet", 2, 1, 2, t=t, **NARROW))
        deepest = wiring.levels - 1
        bottoms.append(sum(block.level == deepest for block in wiring.blocks))
    assert bottoms == [1, 2, 3]


def test_what_stands_on_a_skip_is_a_block_of_its_own() -> None:
    wiring = network_wiring(build_network("multiresunet", 2, 1, 2))
    paths = [block for block in wiring.blocks if block.kind == "ResPath"]
    assert sorted(block.level for block in paths) == [0, 1, 2, 3]
    assert sum(block.kind == "MultiResBlock" for block in wiring.blocks) == 9


def test_reading_leaves_no_hooks_behind() -> None:
    network = build_network("unet", 2, 1, 2, widths=(4, 8, 16))
    network_wiring(network)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_of_the_table_has_one_wiring_in_which_all_leads_to_the_output(
    name: str,
) -> None:
    row = NETWORKS[name]
    network = build_network(name, 2, *row.channels, **row.compact[0])
    deepest = int(log2(max(network.divisors)))
    wiring = network_wiring(network)
    assert wiring.levels == (1 + deepest if deepest else 4)  # unet_bilinear pads; 4 widths here
    assert all(a < b for a, b in wiring.arrows)
    leads = {place for place, block in enumerate(wiring.blocks) if block.output}
    for a, b in sorted(wiring.arrows, key=lambda pair: pair[0], reverse=True):
        if b in leads:
            leads.add(a)
    assert leads == set(range(len(wiring.blocks)))
    assert wiring.blocks[max(leads)].level == 0
