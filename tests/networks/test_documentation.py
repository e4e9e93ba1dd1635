"""The page of the networks names all of them, and has a place for what the benchmarks measure."""

import re
from pathlib import Path

import pytest

from pipeline.networks import NETWORKS
from pipeline.networks.costs import read_costs

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_explained_drawn_and_counted(name: str) -> None:
    assert re.search(rf"\*\*{name}\*\*", PAGE), "explained"
    assert f"![{name}](images/networks/{name}.png)" in PAGE
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {name} | "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == [f"{count:,}" for count in NETWORKS[name].parameters]
    stored = read_costs()[name]["full"]
    assert cells[3:5] == [f"{cost.multiply_adds / 1e9:,.1f}" for cost in stored]
    assert cells[5:7] == [f"{cost.activation_bytes / 2**30:.2f}" for cost in stored]


@pytest.mark.parametrize("name", ["benchmark of the networks", "benchmark of the family"])
def test_the_benchmarks_find_their_place(name: str) -> None:
    assert PAGE.count(f"<!-- {name} -->\n") == PAGE.count(f"<!-- end of {name} -->") == 1
