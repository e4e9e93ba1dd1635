import csv
from collections import Counter
from importlib import import_module
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.metrics import Score, format_table, read_table, score_case, summarise, write_table

ROWS = [
    Score("p1", "liver", "present", 0.9, 0.8, 3.0, 0.95, 1500.0, 1400.0),
    Score("p1", "spleen", "missed", 0.0, 0.0, 100.0, 0.0, 200.0, 0.0),
    Score("p1", "cyst", "absent", nan, nan, nan, nan, 0.0, 0.0),
    Score("p2", "liver", "present", 0.7, 0.6, 5.0, 0.85, 1300.0, 1600.0),
    Score("p2", "spleen", "absent", nan, nan, nan, nan, 0.0, 0.0),
    Score("p2", "cyst", "absent", nan, nan, nan, nan, 0.0, 0.0),
    Score("p3", "liver", "invented", 0.0, 0.0, 220.0, 0.0, 0.0, 30.0),
    Score("p3", "spleen", "present", 0.5, 0.4, 9.0, 0.45, 100.0, 90.0),
    Score("p3", "cyst", "absent", nan, nan, nan, nan, 0.0, 0.0),
]


def test_means_go_over_cases_then_over_classes_and_leave_out_the_absent() -> None:
    summary = summarise(ROWS)
    liver, spleen, cyst = summary.classes
    assert (liver.name, spleen.name, cyst.name) == ("liver", "spleen", "cyst")
    assert liver.dice == pytest.approx(1.6 / 3)
    assert liver.hd95 == pytest.approx(76.0)
    assert spleen.dice == pytest.approx(0.25)
    assert isnan(cyst.dice)
    assert summary.mean.dice == pytest.approx((1.6 / 3 + 0.25) / 2)  # not the mean of the rows
    assert summary.mean.iou == pytest.approx((1.4 / 3 + 0.2) / 2)
    assert (liver.counted, spleen.counted, cyst.counted) == (3, 2, 0)
    counts = (
        summary.mean.present,
        summary.mean.missed,
        summary.mean.invented,
        summary.mean.absent,
    )
    assert counts == (3, 1, 1, 4)
    assert spleen.volume_label_ml == pytest.approx(150.0)
    assert isnan(summary.mean.volume_label_ml)


def test_missing_a_structure_lowers_the_mean_and_raises_the_distance() -> None:
    label = np.zeros((10, 10, 10), np.uint8)
    label[2:6, 2:6, 2:6] = 1
    poor = np.roll(label, 2, 0)
    found = summarise(score_case(poor, label, {"a": 1}, (1, 1, 1)))
    missed = summarise(score_case(0 * label, label, {"a": 1}, (1, 1, 1)))
    assert missed.mean.dice < found.mean.dice
    assert missed.mean.hd95 > found.mean.hd95


def test_table_has_a_row_a_case_and_class_then_means_then_counts(tmp_path: Path) -> None:
    path = tmp_path / "new" / "scores.csv"
    write_table(ROWS, summarise(ROWS), path)
    lines = list(csv.reader(path.read_text().splitlines()))
    assert ",".join(lines[0]) == (
        "case,class,state,dice,iou,hd95_mm,surface_dice,volume_label_ml,volume_prediction_ml,count"
    )
    assert [line[:3] for line in lines[1:10]] == [[r.case, r.name, r.state] for r in ROWS]
    assert [line[:2] for line in lines[10:14]] == [
        ["mean", name] for name in ("liver", "spleen", "cyst", "all")
    ]
    assert [(line[0], line[2], line[9]) for line in lines[14:]] == [
        ("count", "present", "3"),
        ("count", "missed", "1"),
        ("count", "invented", "1"),
        ("count", "absent", "4"),
    ]
    assert [file.name for file in path.parent.iterdir()] == ["scores.csv"]


def test_pandas_reads_numbers_and_gaps(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_table(ROWS, summarise(ROWS), path)
    frame = import_module("pandas").read_csv(path)
    assert frame["dice"].dtype == np.float64
    cases = frame[frame["state"].notna() & frame["count"].isna()]
    assert Counter(cases["state"]) == {"present": 3, "missed": 1, "invented": 1, "absent": 4}
    overall = frame[(frame["case"] == "mean") & (frame["class"] == "all")]
    expected = cases.groupby("class")["dice"].mean().mean()
    assert overall["dice"].item() == pytest.approx(expected, abs=1e-6)


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    rows = [
        *ROWS,
        Score("mean", "all", "present", 0.25, 0.5, 1.0, 1.0, 1.0, 1.0),  # odd names are cases
        Score('a, "b"', "left, kidney", "present", 0.25, 0.5, 1.0, 1.0, 1.0, 1.0),
    ]
    write_table(rows, summarise(rows), path)
    assert str(read_table(path)) == str(rows)


def test_distances_of_pictures_stand_under_pixels(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    mask = np.eye(5, dtype=np.uint8)
    rows = score_case(mask, mask, {"line": 1}, None, case="a")
    write_table(rows, summarise(rows), path)
    assert "hd95_px" in path.read_text().splitlines()[0]
    assert str(read_table(path)) == str(rows)
    assert "hd95 px" in format_table(summarise(rows), 2)


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2\n", "case,class,state,dice\n", "\x00\xff"],
    ids=["empty", "other", "short", "binary"],
)
def test_a_file_that_is_no_table_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match="no table of scores"):
        read_table(path)


def test_a_broken_row_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_table(ROWS, summarise(ROWS), path)
    path.write_text(path.read_text().replace("missed,0.0", "lost,0.0"))
    with pytest.raises(DataError, match="no table of scores"):
        read_table(path)
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "other.csv")


def test_the_terminal_shows_means_and_counts_in_columns_and_says_how_they_count() -> None:
    *table, note = format_table(summarise(ROWS), 2.0).splitlines()
    heads = "class dice iou hd95 mm surface dice present missed invented absent"
    assert " ".join(table[0].split()) == heads
    assert " ".join(table[1].split()) == "liver 0.533 0.467 76.00 0.600 2 0 1 0"
    assert " ".join(table[3].split()) == "cyst - - - - 0 0 0 3"
    assert table[4].split()[:2] == ["all", "0.392"]
    assert len({len(line) for line in table}) == 1
    assert "surface Dice at 2 mm" in note
    assert "diagonal" in note
