"""What a step adds to the process's memory."""

import numpy as np
import pytest

from pipeline.predict.resident import (
    Trimmer,
    added_bytes,
    release_free_memory,
    resident_bytes,
)

MIB = 2**20


def test_what_a_step_takes_and_gives_back_is_seen() -> None:
    def step() -> None:
        np.ones(64 * MIB, np.uint8).sum()

    assert 48 * MIB < added_bytes(step) < 256 * MIB


def test_a_step_that_takes_nothing_adds_next_to_nothing() -> None:
    assert added_bytes(lambda: None) < 16 * MIB


def test_an_error_of_the_step_comes_through() -> None:
    seen = []
    try:
        added_bytes(lambda: seen.append(1 / 0))
    except ZeroDivisionError:
        seen.append(0.0)
    assert seen == [0.0]


def test_resident_memory_is_a_number_of_bytes() -> None:
    release_free_memory()
    assert resident_bytes() > 10 * MIB


def test_free_memory_goes_back_once_for_each_step_of_growth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = iter([100, 140, 160, 130, 170, 190, 190])  # at the start, then at each look
    trimmed: list[int] = []
    monkeypatch.setattr("pipeline.predict.resident.resident_bytes", lambda: next(sizes))
    monkeypatch.setattr("pipeline.predict.resident.release_free_memory", lambda: trimmed.append(1))
    trimmer = Trimmer(50)
    trimmer()
    assert not trimmed
    trimmer()  # 160 is above 150; 130 are left, so that 180 is the next bar
    assert len(trimmed) == 1
    trimmer()
    assert len(trimmed) == 1
    trimmer()
    assert len(trimmed) == 2


def test_free_memory_goes_back_whenever_a_bar_would_be_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = iter([100, 119, 121, 110, 121, 110])
    trimmed: list[int] = []
    monkeypatch.setattr("pipeline.predict.resident.resident_bytes", lambda: next(sizes))
    monkeypatch.setattr("pipeline.predict.resident.release_free_memory", lambda: trimmed.append(1))
    trimmer = Trimmer(50, bar=120)
    for wanted in (0, 1, 2):
        trimmer()
        assert len(trimmed) == wanted
