"""The stored costs are those of the networks, for every row or a few that are quick to count."""

from pathlib import Path

import pytest

from pipeline.networks import NETWORKS
from pipeline.networks import costs as module
from pipeline.networks.costs import PATH, read_costs, standard_cost, write_costs


def test_every_network_has_a_row_and_no_other() -> None:
    assert list(read_costs()) == list(NETWORKS)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["unet", "unet_valid", "unet3d", "attunet", "nnunet", "unetr"])
def test_what_is_stored_is_what_is_counted(name: str, dims: int) -> None:
    for preset, stored in read_costs()[name].items():
        assert stored[dims - 2] == standard_cost(name, dims, preset)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_stored_count_is_the_published_one(name: str) -> None:
    stored = read_costs()[name]["full"]
    if name == "unetr":  # a token for each patch of the standard size, which has its position
        assert stored[1].facts.parameters == NETWORKS[name].parameters[1]
    else:
        assert tuple(cost.facts.parameters for cost in stored) == NETWORKS[name].parameters


def test_writing_again_writes_the_same_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: NETWORKS[name] for name in ("unet", "unet_compact", "swin_unetr")}
    monkeypatch.setattr(module, "NETWORKS", few)
    write_costs(tmp_path / "costs.json")
    stored = {line.rstrip(",") for line in PATH.read_text().splitlines()}
    assert {
        line.rstrip(",") for line in (tmp_path / "costs.json").read_text().splitlines()
    } < stored
