import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, InvalidValueError, PipelineError, UnknownNameError
from pipeline.io import Reading, write_nifti, write_picture
from pipeline.phantom import write_series
from pipeline.predict.inputs import case_name, find_cases, unique_names

SCAN = np.zeros((3, 4, 5), np.int16)


def scan(path: Path) -> Path:
    write_nifti(path, SCAN, np.eye(4))
    return path


def picture(path: Path) -> Path:
    write_picture(path, np.zeros((4, 4), np.uint8))
    return path


def series(folder: Path) -> Path:
    write_series(SCAN, np.eye(4), folder)
    return folder


def test_a_scan_a_picture_and_a_dicom_folder_are_one_case_each(tmp_path: Path) -> None:
    for path, name in (
        (scan(tmp_path / "a" / "one.nii.gz"), "one"),
        (scan(tmp_path / "a" / "two.nii"), "two"),
        (picture(tmp_path / "a" / "three.png"), "three"),
        (series(tmp_path / "a" / "four.5"), "four.5"),
        (tmp_path / "a" / "four.5" / "0001.dcm", "0001"),
    ):
        (case,) = find_cases(path)
        assert (case.id, case.images, case.shown) == (name, (path,), path.name)


def test_choices_of_reading_reach_each_case_of_their_kind(tmp_path: Path) -> None:
    scan(tmp_path / "b.nii.gz")
    series(tmp_path / "a")
    chosen = Reading(series=2, phase="EchoTime=4.6", regularize=True, affine="qform")
    for case in find_cases(tmp_path, reading=chosen):
        assert case.series == 2
        assert case.reading == replace(chosen, unplaced=False), "no place is a refusal"


def test_the_page_of_a_picture_is_its_series(tmp_path: Path) -> None:
    (case,) = find_cases(picture(tmp_path / "a.png"), reading=Reading(series=2))
    assert case.series == 2


@pytest.mark.parametrize(
    ("name", "reading", "said"),
    [
        ("b.nii.gz", Reading(series=2), "--series is for DICOM and pictures"),
        ("b.nii.gz", Reading(part=2), "--range is for DICOM"),
        ("b.nii.gz", Reading(regularize=True), "--regularize is for DICOM"),
        ("a", Reading(affine="qform"), "--affine is for NIfTI"),
    ],
)
def test_a_choice_that_no_file_could_follow_is_refused(
    tmp_path: Path, name: str, reading: Reading, said: str
) -> None:
    scan(tmp_path / "b.nii.gz")
    series(tmp_path / "a")
    with pytest.raises(InvalidValueError, match=said):
        find_cases(tmp_path / name, reading=reading)


def test_each_child_that_is_a_case_is_one_and_the_rest_is_left_out(tmp_path: Path) -> None:
    scan(tmp_path / "b.nii.gz")
    picture(tmp_path / "c.png")
    series(tmp_path / "a")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    scan(tmp_path / ".hidden.nii.gz")
    scan(tmp_path / "deeper" / "d.nii.gz")
    found = find_cases(tmp_path)
    assert [(c.id, c.shown) for c in found] == [("a", "a"), ("b", "b.nii.gz"), ("c", "c.png")]


def test_a_manifest_gives_its_test_cases_or_those_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [
        {"id": f"c{n}", "image": f"{n}.nii.gz", "label": f"{n}.nii.gz", "split": split}
        for n, split in enumerate(("train", "val", "test", "test"))
    ]
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"modality": "CT", "labels": {"a": 1}, "cases": cases}))
    assert [c.id for c in find_cases(path)] == ["c2", "c3"]
    assert [c.id for c in find_cases(path, cases="val")] == ["c1"]
    assert [c.id for c in find_cases(path, cases="all")] == ["c0", "c1", "c2", "c3"]
    first = find_cases(path)[0]
    assert first.images == (tmp_path / "2.nii.gz",)
    assert first.shown == "c2", "no folder of the data"
    with pytest.raises(UnknownNameError, match="cases is 'tests'"):
        find_cases(path, cases="tests")
    monkeypatch.chdir(tmp_path)
    assert len(find_cases("set.json")) == 2


def test_a_part_without_cases_is_refused(tmp_path: Path) -> None:
    cases = [{"image": "a.nii.gz", "label": "b.nii.gz", "split": "train"}]
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"modality": "CT", "labels": {"a": 1}, "cases": cases}))
    with pytest.raises(DataError, match="set has no test case") as caught:
        find_cases(path)
    assert "--cases" in caught.value.hint


def test_a_bare_word_is_a_manifests_name_if_nothing_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match='no manifest "phantmo"') as caught:
        find_cases("phantmo")
    assert "phantom" in caught.value.hint
    scan(tmp_path / "phantom" / "a.nii.gz")
    assert [c.id for c in find_cases("phantom")] == ["a"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.nii.gz", r"none\.nii\.gz does not exist"),
        ("none/deeper", "does not exist"),
        ("notes.txt", "is no scan and no picture"),
        ("empty", "holds no scan and no picture"),
        ("none.json", "no manifest at"),
    ],
)
def test_what_is_no_input_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PipelineError, match=message):
        find_cases(name)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.nii.gz", "a"),
        ("a.NII.GZ", "a"),
        ("a.b.nii", "a.b"),
        ("a.jpeg", "a"),
        ("1.2.3.dcm", "1.2.3"),
        ("IM0001", "IM0001"),
    ],
)
def test_a_case_is_called_as_its_file_without_the_extension(file: str, name: str) -> None:
    assert case_name(Path("folder") / file) == name


def test_a_dicom_folder_keeps_its_whole_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = series(tmp_path / "study.2020")
    assert case_name(folder) == "study.2020"
    monkeypatch.chdir(folder)
    assert case_name(Path()) == "study.2020"
    assert find_cases(".")[0].id == "study.2020"


def test_equal_names_get_their_parents_in_front_until_they_differ() -> None:
    paths = [Path(p) for p in ("x/p1/a/scan.nii", "x/p2/a/scan.nii", "x/p2/other.nii")]
    assert unique_names(paths) == ["p1__a__scan", "p2__a__scan", "other"]
    assert unique_names([Path("x/p1/scan.nii"), Path("x/p2/scan.nii.gz")]) == [
        "p1__scan",
        "p2__scan",
    ]


def test_neighbours_that_differ_in_the_extension_alone_show_no_folder_above_input(
    tmp_path: Path,
) -> None:
    scan(tmp_path / "a.nii.gz")
    picture(tmp_path / "a.png")
    series(tmp_path / "a")
    found = {c.id for c in find_cases(tmp_path)}
    assert found == {"a__dicom", "a__gz", "a__png"}


def test_an_analyze_pair_is_one_case(tmp_path: Path) -> None:
    for name in ("a.hdr", "a.img", "b.img"):
        (tmp_path / name).write_bytes(b"x")
    assert [case.images[0].name for case in find_cases(tmp_path)] == ["a.hdr", "b.img"]


def test_all_cases_of_a_manifest_need_no_split(tmp_path: Path) -> None:
    scan(tmp_path / "a.nii.gz")
    cases = [{"id": "a", "image": "a.nii.gz"}]
    content = {"name": "set", "modality": "CT", "labels": {"organ": 1}, "cases": cases}
    (tmp_path / "set.json").write_text(json.dumps(content))
    assert [case.id for case in find_cases(tmp_path / "set.json", cases="all")] == ["a"]


def test_a_folder_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def iterdir(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(DataError, match="cannot be read"):
        find_cases(tmp_path)
