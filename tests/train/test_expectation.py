"""What a plan needs here: memory by a table, time by a step of the network itself."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.bundles.settings import plan
from pipeline.networks.facts import network_facts
from pipeline.planning.presets import update_bytes
from pipeline.train import expectation, tuning
from pipeline.train.expectation import expected
from pipeline.train.step import Choice

FACTS: dict[str, Any] = {
    "name": "tiny", "hash": "0" * 64, "modality": ["CT"], "dims": 3, "classes": ["a", "b"],
    "values": [[1], [2]], "head": "softmax", "cases": 3, "patients": 3, "validation_cases": 0,
    "shape": [16, 16, 16], "spacing": [1.0, 1.0, 1.0], "spacing_range": None,
    "intensity": [{"mean": 0.0, "std": 1.0, "low": -1.0, "high": 1.0}], "variety": 0.1,
    "shares": [0.8, 0.1, 0.1], "window": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the batches that were timed; each step takes a second a voxel."""
    shapes: list[tuple[int, ...]] = []

    def step(self: Any, choice: Choice) -> tuple[float, bool]:
        shapes.append(tuple(self.image.shape))
        return float(self.image.numel()), True

    monkeypatch.setattr(tuning.Bench, "step", step)
    return shapes


def test_a_small_batch_is_timed_as_it_is_and_once(
    steps: list[tuple[int, ...]], cache: Path
) -> None:
    made = plan(FACTS, "unet", batch_size=3, patch=[16, 16, 16])
    first = expected("unet", "compact", made, FACTS, "cpu")
    assert set(steps) == {(3, 1, 16, 16, 16)}
    assert first.seconds == 3 * 16**3
    assert "measured (3 of 16x16x16)" in first.how
    count = len(steps)
    assert expected("unet", "compact", made, FACTS, "cpu") == first
    assert len(steps) == count, "the second look comes from the cache"


def test_a_large_batch_is_timed_smaller_and_scaled_by_its_voxels(
    steps: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(FACTS, "unet", batch_size=4, patch=[64, 64, 32])
    monkeypatch.setattr(expectation, "LARGEST", 1e8)
    found = expected("unet", "compact", made, FACTS, "cpu")
    shape = steps[0]
    assert shape[0] == 1
    assert min(shape[2:]) >= 8
    assert shape[2] >= 16, "two voxels at the coarsest level"
    assert found.seconds == pytest.approx(4 * 64 * 64 * 32)
    assert "scaled from a measured step of 1 of" in found.how


def test_the_memory_is_that_of_the_table_of_costs(steps: list[tuple[int, ...]]) -> None:
    made = plan(FACTS, "unet", batch_size=2, patch=[32, 16, 16])
    found = expected("unet", "compact", made, FACTS, "cpu")
    table = update_bytes(network_facts("unet", 3, "compact"), 2 * 32 * 16 * 16, 3)
    assert found.memory_gib == pytest.approx(table / 2**30)
    assert f"of {found.offered_gib:.1f} GiB" in found.rows()[0]


def test_a_real_step_takes_time() -> None:
    made = plan(FACTS, "unet", spatial_dims=2, batch_size=2, patch=[16, 16])
    found = expected("unet", "compact", made, FACTS, "cpu")
    assert 0 < found.seconds < 60
    assert "looks for a faster way" in found.how
    assert found.rows()[1].startswith("time    ")
