import math
import sys

import pytest

from pipeline.tracking.table import minutes, number, terminal_width, text_table


def test_columns_are_aligned_and_numbers_lean_right() -> None:
    rows = [["liver", "0.5"], ["spleen, large", "10.25"], ["aorta", "-"]]
    assert text_table(["class", "mean"], rows).splitlines() == [
        "class           mean",
        "liver            0.5",
        "spleen, large  10.25",
        "aorta              -",
    ]


def test_the_widest_columns_are_cut_to_the_terminal() -> None:
    rows = [["x" * 40, "y" * 20, "0.5"]]
    lines = text_table(["name", "note", "dice"], rows, width=40).splitlines()
    assert max(len(line) for line in lines) == 40
    assert lines[1] == "x" * 15 + "…  " + "y" * 15 + "…" + "   0.5"


def test_no_column_vanishes_in_a_terminal_that_is_too_narrow() -> None:
    lines = text_table(["name", "note"], [["x" * 40, "y" * 20]], width=5).splitlines()
    assert lines[1] == "xxxxxxx…  yyyyyyy…"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (0.0, "0.000"),
        (-2.5, "-2.500"),
        (0.00002, "2.00e-05"),
        (123456789.0, "1.23e+08"),
        (math.inf, "inf"),
        (-sys.float_info.max, "-inf"),
        (math.nan, "-"),
        (None, "-"),
    ],
)
def test_a_number_is_short_and_what_is_missing_is_a_dash(value: float | None, text: str) -> None:
    assert number(value) == text


def test_output_that_is_no_terminal_has_no_width(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal_width() is None


def test_a_duration_is_minutes_with_a_tenth() -> None:
    assert [minutes(value) for value in (0.02, 12.345, math.nan)] == ["0.0", "12.3", "-"]
