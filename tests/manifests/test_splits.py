import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.manifests import load_manifest

Write = Callable[..., Path]


def cases(*names: str) -> list[dict[str, str]]:
    """Cases `p1`, `p2`, ...: the letter is the patient."""
    return [
        {"id": name, "image": f"{name}.nii.gz", "label": f"{name}.nii.gz", "patient": name[0]}
        for name in names
    ]


def test_a_split_names_ids_or_patients(write: Write) -> None:
    split = {"train": ["a"], "val": ["b1"], "test": ["c1"]}
    manifest = load_manifest(write(training=None, cases=cases("a1", "a2", "b1", "c1"), split=split))
    assert [case.part for case in manifest.cases] == ["train", "train", "val", "test"]


def test_a_splits_file_beside_the_data_gives_parts_and_folds(write: Write, tmp_path: Path) -> None:
    path = write(training=None, cases=cases("a1", "b1", "c1"), splits_file="splits.json")
    folder = tmp_path / "data" / "set"
    folder.mkdir(parents=True)
    content = {"train": ["a1", "b1"], "test": ["c1"], "folds": [["a1"], ["b1"]], "seed": 1}
    (folder / "splits.json").write_text(json.dumps(content))
    manifest = load_manifest(path)
    assert [case.part for case in manifest.cases] == ["train", "train", "test"]
    assert [case.id for case in manifest.part("test", 1)] == ["b1"]
    (folder / "splits.json").write_text(json.dumps({**content, "folds": [["b1"], ["a1"]]}))
    assert load_manifest(path).hash != manifest.hash


def test_a_splits_file_may_be_nnunets_list_of_folds(write: Write, tmp_path: Path) -> None:
    content = [{"train": ["a1"], "val": ["b1"]}, {"train": ["b1"], "val": ["a1"]}]
    (tmp_path / "splits_final.json").write_text(json.dumps(content))
    path = write(training=None, cases=cases("a1", "b1"), splits_file="splits_final.json")
    assert [case.id for case in load_manifest(path).part("train", 1)] == ["b1"]


def test_a_missing_splits_file_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"cannot read .*splits\.json"):
        load_manifest(write(splits_file="splits.json"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"train": "c0"}, r'split\.train is "c0"'),
        ({"folds": [{"train": ["c0"]}]}, 'folds.0. has no "val"'),
        ("c0", "no JSON object"),
    ],
)
def test_a_splits_file_is_held_to_the_schema(
    write: Write, tmp_path: Path, content: object, words: str
) -> None:
    (tmp_path / "splits.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"splits\.json.*{words}"):
        load_manifest(write(splits_file="splits.json"))


def test_a_patient_in_two_parts_is_refused_with_both_cases(write: Write) -> None:
    with pytest.raises(DataError, match='"a" is in two parts, case "a1" in train and "a2" in test'):
        load_manifest(write(training=cases("a1"), testing=cases("a2")))


def test_a_patient_in_two_parts_of_a_fold_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r'fold 1: .*patient "a" is in two parts'):
        load_manifest(write(training=cases("a1", "a2", "b1"), folds=[["b1"], ["a2"]]))


def test_a_case_in_two_parts_of_a_fold_is_refused(write: Write) -> None:
    folds = [{"train": ["a1", "b1"], "val": ["b1"]}]
    with pytest.raises(DataError, match='fold 0 has case "b1" in two'):
        load_manifest(write(training=cases("a1", "b1"), folds=folds))


def test_a_case_in_two_parts_of_the_split_is_refused(write: Write) -> None:
    split = {"train": ["a", "b"], "test": ["b1"]}
    with pytest.raises(DataError, match='case "b1" is in train and in test'):
        load_manifest(write(training=None, cases=cases("a1", "b1"), split=split))


def test_a_name_that_no_case_has_is_refused_with_the_number_of_such_names(write: Write) -> None:
    with pytest.raises(DataError, match=r'fold 0 names "x", which .* \(and 1 more'):
        load_manifest(write(training=cases("a1", "b1"), folds=[["x", "a1", "y"]]))


@pytest.mark.parametrize(
    ("fold", "words"), [(["a1", "b1"], "trains on no case"), ([], "holds out no case")]
)
def test_an_empty_side_of_a_fold_is_refused(write: Write, fold: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_manifest(write(training=cases("a1", "b1"), folds=[fold]))


def test_a_case_that_no_part_names_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match='case "b1" is in no part'):
        load_manifest(write(training=None, cases=cases("a1", "b1"), split={"train": ["a1"]}))


@pytest.mark.parametrize("key", ["training", "validation"])
def test_a_case_without_label_neither_trains_nor_chooses(write: Write, key: str) -> None:
    bare = [{"image": "x.nii.gz"}]
    change = {"training": cases("a1"), key: bare}
    with pytest.raises(DataError, match=r'case "x" in .* has no label'):
        load_manifest(write(**change))
    assert load_manifest(write(training=cases("a1"), testing=bare)).part("test")[0].label is None
