"""A model written by hand: what a training would leave, without one."""

from typing import Any

import pytest


@pytest.fixture
def facts() -> dict[str, Any]:
    return {
        "name": "tiny",
        "hash": "0" * 64,
        "modality": ["CT"],
        "dims": 3,
        "classes": ["liver", "liver tumour"],
        "values": [[1], [4]],
        "head": "softmax",
        "cases": 3,
        "patients": 3,
        "validation_cases": 1,
        "shape": [20, 22, 18],
        "spacing": [1.0, 1.0, 1.5],
        "spacing_range": [[1.0, 1.0, 1.5], [1.0, 1.0, 1.5]],
        "intensity": [{"mean": 50.0, "std": 20.0, "low": -40.0, "high": 160.0}],
        "variety": 0.2,
        "shares": [0.9, 0.08, 0.02],
        "window": None,
    }


@pytest.fixture
def plan(facts: dict[str, Any]) -> dict[str, Any]:
    from pipeline.bundles.settings import plan as planned

    return planned(facts, "attunet", spatial_dims=2)
