from collections.abc import Callable
from typing import Any

import pytest

from pipeline.planning import Fingerprint, NetworkFacts
from pipeline.planning.facts import Intensity


def written_facts(**changes: Any) -> Fingerprint:
    """A CT set of two organs in small volumes, changed by the arguments."""
    classes = changes.get("classes", ("liver", "spleen"))
    channels = len(changes.get("modality", "1"))
    facts: dict[str, Any] = {
        "name": "set",
        "hash": "0" * 64,
        "modality": ("CT",),
        "dims": 3,
        "classes": classes,
        "values": tuple((n,) for n, _ in enumerate(classes, 1)),
        "head": "softmax",
        "cases": 20,
        "patients": 20,
        "validation_cases": 4,
        "shape": (48, 40, 24),
        "spacing": (2.0, 2.0, 5.0),
        "spacing_range": ((2.0, 2.0, 5.0), (2.0, 2.0, 5.0)),
        "intensity": (Intensity(50.0, 20.0, -40.0, 160.0),) * channels,
        "variety": 0.2,
        "shares": (0.9, 0.08, 0.02),
    }
    return Fingerprint(**{**facts, **changes})


@pytest.fixture
def make_facts() -> Callable[..., Fingerprint]:
    return written_facts


@pytest.fixture
def ct(make_facts: Callable[..., Fingerprint]) -> Fingerprint:
    return make_facts()


@pytest.fixture
def mr(make_facts: Callable[..., Fingerprint]) -> Fingerprint:
    return make_facts(modality=("MR",), variety=1.4)


@pytest.fixture
def make_picture_facts() -> Callable[..., Fingerprint]:
    """Grey pictures under a microscope, changed by the arguments."""

    def make(**changes: Any) -> Fingerprint:
        facts: dict[str, Any] = {
            "modality": ("microscopy",),
            "dims": 2,
            "classes": ("nucleus",),
            "shape": (200, 320),
            "spacing": None,
            "spacing_range": None,
            "shares": (0.8, 0.2),
        }
        return written_facts(**{**facts, **changes})

    return make


@pytest.fixture
def pictures(make_picture_facts: Callable[..., Fingerprint]) -> Fingerprint:
    return make_picture_facts()


def network_facts(dims: int = 3, divisor: int = 8, **changes: Any) -> NetworkFacts:
    """A U-Net that takes strides and kernels, changed by the arguments."""
    facts: dict[str, Any] = {
        "divisor": (divisor,) * dims,
        "smallest": (divisor,) * dims,
        "offset": 0,
        "border": 0,
        "heads": 1,
        "bytes_per_voxel": 1000.0,
        "parameters": 1_000_000,
        "options": ("widths", "norm", "strides", "kernels"),
    }
    return NetworkFacts(**{**facts, **changes})


@pytest.fixture
def make_network() -> Callable[..., NetworkFacts]:
    return network_facts
