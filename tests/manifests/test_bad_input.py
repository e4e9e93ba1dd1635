"""What a careful colleague would do with files that are not as they should be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, InvalidValueError
from pipeline.io import write_nifti
from pipeline.manifests import load_manifest
from pipeline.manifests.draft import Draft, Wishes, draft_manifest
from pipeline.manifests.draft_entries import write_manifest
from pipeline.manifests.folding import add_folds
from tests.manifests.conftest import listed

Write = Callable[..., Path]


def volume(path: Path, *values: int, shape: tuple[int, ...] = (4, 3, 2)) -> None:
    array = np.zeros(shape, np.int16)
    array.reshape(-1)[: len(values)] = values
    write_nifti(path, array, np.eye(4))


def drafted(folder: Path, output: Path, **wishes: Any) -> Draft:
    made = draft_manifest(folder / "i", folder / "l", output, Wishes(**wishes), quiet=True)
    write_manifest(made.content, output)
    return made


def reasons(made: Draft) -> dict[str, str]:
    return {f"{path.parent.name}/{path.name}": reason for path, reason in made.left}


def test_images_without_labels_labels_without_images_and_sizes_that_differ_are_left_alone(
    tmp_path: Path,
) -> None:
    for name in ("a", "b", "image only"):
        volume(tmp_path / "i" / f"{name}.nii.gz", 5)
    volume(tmp_path / "l" / "a.nii.gz", 1)
    volume(tmp_path / "l" / "b.nii.gz", 1, shape=(4, 3, 3))
    volume(tmp_path / "l" / "label only.nii.gz", 1)
    made = drafted(tmp_path, tmp_path / "set.json")
    assert [case.id for case in made.cases] == ["a"]
    assert reasons(made) == {
        "i/image only.nii.gz": "no label of that name",
        "l/label only.nii.gz": "a label of no image",
        "i/b.nii.gz": "its shape is (4, 3, 2), its label's (4, 3, 3)",
    }


def test_two_images_that_could_be_one_cases_are_both_left_alone(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz", "b.nii"):
        volume(tmp_path / "i" / name, 5)
    for name in ("a.nii.gz", "b.nii.gz"):
        volume(tmp_path / "l" / name, 1)
    made = drafted(tmp_path, tmp_path / "set.json")
    assert [case.id for case in made.cases] == ["a"]
    assert reasons(made)["i/b.nii"] == reasons(made)["i/b.nii.gz"]
    assert "several images of that name" in reasons(made)["i/b.nii"]


def test_integers_that_are_skipped_are_kept_and_told(tmp_path: Path) -> None:
    volume(tmp_path / "i" / "a.nii.gz", 5)
    volume(tmp_path / "l" / "a.nii.gz", 2, 5)
    made = drafted(tmp_path, tmp_path / "set.json")
    assert made.content["labels"] == {"label_2": 2, "label_5": 5}
    assert any("no label has the integer 1, 3, 4: kept as it is" in note for note in made.notes)


def test_values_between_integers_are_refused_with_the_value(tmp_path: Path) -> None:
    volume(tmp_path / "i" / "a.nii.gz", 5)
    array = np.zeros((4, 3, 2), np.float32)
    array[0, 0, 0] = 0.5
    write_nifti(tmp_path / "l" / "a.nii.gz", array, np.eye(4))
    with pytest.raises(DataError, match=r"no label fits: .*0\.5"):
        drafted(tmp_path, tmp_path / "set.json")


def test_a_label_that_is_declared_and_in_no_case_is_told_and_left_out_of_no_fold(
    write: Write, tmp_path: Path
) -> None:
    for n in range(2):
        volume(tmp_path / f"l/c{n}.nii.gz", 1)
    manifest = write(labels={"liver": 1, "spleen": 2})
    assert add_folds(manifest, 2).counts == {"liver": (1, 1), "spleen": (0, 0)}


def test_a_patient_in_two_parts_is_refused_with_both_cases(write: Write) -> None:
    training, testing = listed(1, patient="P1"), listed(2, patient="P1")[1:]
    with pytest.raises(DataError, match='patient "P1" is in two parts, case "c0" in train') as told:
        load_manifest(write(training=training, testing=testing))
    assert "one part" in told.value.hint


def test_a_set_of_one_patient_is_drafted_for_training_and_cannot_be_folded(
    tmp_path: Path,
) -> None:
    for visit in "ab":
        volume(tmp_path / "i" / f"P1{visit}.nii.gz", 5)
        volume(tmp_path / "l" / f"P1{visit}.nii.gz", 1)
    made = drafted(tmp_path, tmp_path / "set.json", patient="(P1)")
    assert set(made.content) >= {"training"}
    assert not {"testing", "validation"} & set(made.content)
    assert any("one patient only, so nothing can be held out" in note for note in made.notes)
    with pytest.raises(InvalidValueError, match="patients with labels: 1") as told:
        add_folds(tmp_path / "set.json", 5)
    assert told.value.hint == "one patient cannot be divided"


def test_paths_with_blanks_and_letters_beyond_ascii_come_back_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "Läsionen der Leber"
    for name in ("Fall 1 é", "案例 2"):
        volume(folder / "i" / f"{name}.nii.gz", -1000)
        volume(folder / "l" / f"{name}.nii.gz", 1)
    drafted(folder, folder / "mein Satz.json")
    manifest = load_manifest(folder / "mein Satz.json")
    assert {case.id for case in manifest.cases} == {"Fall 1 é", "案例 2"}
    assert all(case.images[0].is_file() for case in manifest.cases)
    assert manifest.name == "mein_Satz"


def test_nothing_is_written_into_the_folder_of_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in "abcd":
        volume(data / "i" / f"{name}.nii.gz", 5)
        volume(data / "l" / f"{name}.nii.gz", 1)
    before = {path: path.stat().st_mtime_ns for path in (data, *data.rglob("*"))}
    output = tmp_path / "elsewhere" / "set.json"
    drafted(data, output)
    add_folds(output, 2)
    assert {path: path.stat().st_mtime_ns for path in (data, *data.rglob("*"))} == before
    assert json.loads(output.read_text())["training"][0]["image"].startswith(f"{data}/i/")


def test_a_manifest_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    volume(tmp_path / "i" / "a.nii.gz", 5)
    volume(tmp_path / "l" / "a.nii.gz", 1)
    (tmp_path / "taken").write_text("a file where the folder would be")
    with pytest.raises(DataError, match=r"set\.json: cannot be written"):
        drafted(tmp_path, tmp_path / "taken" / "set.json")


def test_a_damaged_image_is_left_alone_with_the_readers_line(tmp_path: Path) -> None:
    for name in "ab":
        volume(tmp_path / "i" / f"{name}.nii.gz", 5)
        volume(tmp_path / "l" / f"{name}.nii.gz", 1)
    (tmp_path / "i" / "b.nii.gz").write_bytes(b"no gzip")
    made = drafted(tmp_path, tmp_path / "set.json")
    assert [case.id for case in made.cases] == ["a"]
    assert "b.nii.gz" in reasons(made)["i/b.nii.gz"]
