from collections.abc import Callable
from typing import Any

import pytest

from pipeline.planning import Fingerprint
from pipeline.planning.fingerprint import Intensity


def written_facts(**changes: Any) -> Fingerprint:
    """A CT set of two organs in small volumes, changed by the arguments."""
    classes = changes.get("classes", ("liver", "spleen"))
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
        "intensity": (Intensity(50.0, 20.0, -40.0, 160.0),),
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
def pictures(make_facts: Callable[..., Fingerprint]) -> Fingerprint:
    """Photographs in grey."""
    return make_facts(
        modality=("microscopy",),
        dims=2,
        classes=("nucleus",),
        shape=(200, 320),
        spacing=None,
        spacing_range=None,
        shares=(0.8, 0.2),
    )
