"""What a step adds to the process's memory."""

import numpy as np

from pipeline.predict.resident import added_bytes, release_free_memory, resident_bytes

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
