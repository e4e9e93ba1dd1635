from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.manifests import load_manifest

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("change", "fact", "hint"),
    [
        ({"lables": {"a": 1}}, 'unknown key "lables" in its top level', 'did you mean "labels"?'),
        ({"training": [{"imag": "a"}]}, 'unknown key "imag" in training[0]', '"image"?'),
        ({"cases": {"images": "*", "lables": "{id}"}}, '"lables" in cases', '"labels"?'),
        ({"folds": [{"val": [], "vl": []}]}, 'unknown key "vl" in folds[0]', '"val"?'),
        ({"modality": None}, 'has no "modality"', "CT, MR, PET"),
        ({"training": [{"label": "a"}]}, 'training[0] has no "image"', "a DICOM folder"),
        ({"labels": None}, "keys are missing", "`labels` (name to integer) or `regions`"),
        ({"training": None}, "keys are missing", "`cases`, or `training`"),
        ({"labels": {"a": 1.5}}, "labels.a is 1.5", "from 0 to 65535"),
        ({"labels": {"a": 70000}}, "labels.a is 70000", "an integer from 0 to 65535"),
        ({"labels": {"a": True}}, "labels.a is true", "an integer from 0 to 65535"),
        ({"labels": {}}, "labels is {}", "names of the structures"),
        ({"regions": {"a": [1, 1]}}, "regions.a is [1, 1]", "different integers"),
        ({"training": [{"image": 5}]}, "training[0].image is 5", "a list of files"),
        ({"training": [{"image": "a", "label": {"rt": 1}}]}, "training[0].label is", "rtstruct"),
        ({"training": [{"image": "a", "id": "x/y"}]}, 'training[0].id is "x/y"', "no slash"),
        ({"training": [{"image": "a", "split": "valid"}]}, 'split is "valid"', '"val" (chooses'),
        ({"head": "soft"}, 'head is "soft"', '"softmax"'),
        ({"checksum": "abc"}, 'checksum is "abc"', "md5:HEX"),
        ({"name": "a b"}, 'name is "a b"', "letters, digits"),
        ({"window": [40, 0]}, "window is [40, 0]", "[LEVEL, WIDTH]"),
        ({"cases": 3}, "cases is 3", "a list of cases and patterns"),
    ],
)
def test_a_difference_from_the_schema_says_where_what_and_what_is_expected(
    write: Write, change: dict[str, object], fact: str, hint: str
) -> None:
    with pytest.raises(DataError) as caught:
        load_manifest(write(**change))
    assert fact in str(caught.value)
    assert hint in caught.value.hint
    assert "set.json" in str(caught.value)


def test_a_key_with_an_underscore_is_a_note(write: Write) -> None:
    cases = [{"image": "a.nii.gz", "label": "b.nii.gz", "_seen": "by hand"}]
    assert load_manifest(write(_made="on a Monday", training=cases)).cases[0].id == "a"


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text('{"modality": "CT",\n "labels": {"a": 1,}}')
    with pytest.raises(DataError, match=r"set\.json is no JSON: line 2"):
        load_manifest(path)


def test_a_key_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text('{"modality": "CT", "labels": {"a": 1, "a": 2}, "training": []}')
    with pytest.raises(DataError, match='names "a" twice'):
        load_manifest(path)


@pytest.mark.parametrize("text", ["[]", '"CT"', "3"])
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "set.json"
    path.write_text(text)
    with pytest.raises(DataError, match="no JSON object"):
        load_manifest(path)


def test_an_empty_file_and_an_empty_list_are_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no cases"):
        load_manifest(write(training=[]))
    (tmp_path / "empty.json").touch()
    with pytest.raises(DataError, match="is no JSON: line 1"):
        load_manifest(tmp_path / "empty.json")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(DataError, match="not UTF-8"):
        load_manifest(path)
