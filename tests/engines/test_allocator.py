"""The allocator is told what to keep, and told back."""

import ctypes
import sys
from typing import Any

import pytest

from pipeline.engines import allocator

LINUX = sys.platform.startswith("linux")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    values: dict[int, int] = {}
    monkeypatch.setattr(allocator, "_mallopt", lambda: values.__setitem__)
    return values


def test_large_blocks_are_kept_by_the_heap_and_given_back_as_glibc_does(
    told: dict[int, int],
) -> None:
    assert allocator.keep_large_blocks(True)
    assert told == {allocator.M_MMAP_MAX: 0, allocator.M_TRIM_THRESHOLD: 2**31 - 1}
    assert allocator.keep_large_blocks(False)
    assert told == {allocator.M_MMAP_MAX: 65536, allocator.M_TRIM_THRESHOLD: 128 * 1024}


def test_another_system_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_large_blocks(True)


def test_a_libc_without_the_call_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not allocator.keep_large_blocks(True)


def test_it_is_tuned_for_windows_unless_one_setting_says_no(
    told: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNETWORKS_ALLOCATOR", "system")
    assert not allocator.tune_for_windows()
    assert told == {}
    monkeypatch.delenv("UNETWORKS_ALLOCATOR")
    assert allocator.tune_for_windows()
    assert told[allocator.M_MMAP_MAX] == 0
