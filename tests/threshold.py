"""A model whose answer is known: a network that looks at each voxel's value alone.

HU of 0 is background, 100 the first class and 200 the second one.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.bundles.export import write_model
from pipeline.contract import Network
from pipeline.networks import NETWORKS
from pipeline.networks.registry import NetworkRow

SOFTMAX = ([0.0, 4.0, 12.0], [0.0, 2.0, -4.0])  # slopes and offsets over -1, 0, 1
SIGMOID = ([4.0, 4.0], [2.0, -2.0])


class Threshold(Network):
    """A 1x1 convolution."""

    divisor = 1

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        kind = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        self.head = kind(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        self.check_input(x)
        logits: Tensor = self.head(x)
        return logits


def plan_of(dims: int = 3, **changes: Any) -> dict[str, Any]:
    """A plan for windows of 8 voxels a side."""
    plan = {
        "spatial_dims": dims,
        "spacing": None,
        "normalisation": "window",
        "window": [[0.0, 200.0]],
        "patch": [8] * dims,
        "overlap": 0.5,
        "slice_axis": None,
        "network": {},
        "why": {"patch": "said here"},
    }
    return plan | changes


def facts_of(dims: int = 3, **changes: Any) -> dict[str, Any]:
    """Facts of a CT set with an organ (1) and a lesion (4)."""
    facts = {
        "modality": ["CT"],
        "dims": dims,
        "classes": ["organ", "lesion"],
        "values": [[1], [4]],
        "head": "softmax",
    }
    return facts | changes


def write_run(
    folder: Path, facts: dict[str, Any] | None = None, plan: dict[str, Any] | None = None
) -> Path:
    """Write a run's folder with the network's weights set by hand."""
    facts, plan = facts or facts_of(), plan or plan_of()
    slopes, offsets = SIGMOID if facts["head"] == "sigmoid" else SOFTMAX
    count = len(facts["classes"]) + (facts["head"] == "softmax")
    channels = len(facts["modality"])
    weight = torch.zeros(count, channels, *(1,) * plan["spatial_dims"])
    weight[:, 0] = torch.tensor(slopes[:count]).reshape(-1, *(1,) * plan["spatial_dims"])
    state = {"head.weight": weight, "head.bias": torch.tensor(offsets[:count])}
    write_model(folder, state, {"bundle": "threshold"}, facts, plan)
    return folder


@pytest.fixture
def threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the network into the table."""
    row = NetworkRow(f"{__name__}:Threshold", "this file", (1, 1), (0, 0))
    monkeypatch.setitem(NETWORKS, "threshold", row)
