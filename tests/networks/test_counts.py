"""Every published parameter count, in 2D and 3D, on the meta device."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.networks import NETWORKS, build_network
from pipeline.networks.unetpp import UNetPP

COUNTS = json.loads((Path(__file__).parents[1] / "data" / "param_counts.json").read_text())
NOT_META = ("swin_unetr",)  # MONAI's constructor reads values
ROWS = [
    pytest.param(name, dims, row, id=f"{name}-{dims}d-{i}")
    for name, rows in COUNTS.items()
    for i, row in enumerate(rows)
    for dims in (2, 3)
]


@pytest.mark.parametrize(("name", "dims", "row"), ROWS)
def test_the_parameter_count_is_the_published_one(
    name: str, dims: int, row: dict[str, Any]
) -> None:
    options = dict(row["options"])
    level = options.pop("prune", None)
    if level:
        options["deep_supervision"] = True
    with torch.device("cpu" if name in NOT_META else "meta"):
        network = build_network(name, dims, row["in"], row["out"], **options)
        if level:
            assert isinstance(network, UNetPP)
            network = network.prune(level)
    assert name in NOT_META or all(tensor.is_meta for tensor in network.state_dict().values())
    assert sum(parameter.numel() for parameter in network.parameters()) == row[f"{dims}d"]


def test_the_table_shows_the_published_counts_of_the_default_options() -> None:
    assert NETWORKS.keys() == COUNTS.keys()
    for name, row in NETWORKS.items():
        published = [(r["2d"], r["3d"]) for r in COUNTS[name] if r["in_issue_table"]]
        assert row.parameters in published
