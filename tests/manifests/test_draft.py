import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError, InvalidValueError, PipelineError
from pipeline.manifests import load_manifest
from pipeline.manifests.draft import Draft, Wishes, draft_manifest
from pipeline.manifests.draft_entries import write_manifest
from pipeline.manifests.folding import add_folds

Volume = Callable[..., None]


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    """Write a NIfTI volume of two slices whose corner holds each of the values."""

    def _volume(name: str, *values: float, shape: tuple[int, ...] = (4, 3, 2)) -> None:
        array = np.zeros(shape, np.int16)
        array.reshape(-1)[: len(values)] = values
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.eye(4)), path)  # type: ignore[no-untyped-call]

    return _volume


@pytest.fixture
def ten(volume: Volume, tmp_path: Path) -> Path:
    """Ten CT-like cases of two visits each, with the labels 1 and 3."""
    for n in range(10):
        for visit in "ab":
            volume(f"i/P{n}{visit}.nii.gz", -1000, 40)
            volume(f"l/P{n}{visit}.nii.gz", 1, 3 if n else 0)
    return tmp_path


def drafted(images: Path, labels: Path | None, output: Path, **wishes: Any) -> Draft:
    return draft_manifest(images, labels, output, Wishes(**wishes), quiet=True)


def draft(root: Path, **wishes: Any) -> tuple[dict[str, Any], list[str]]:
    made = drafted(root / "i", root / "l", root / "own set.json", **wishes)
    write_manifest(made.content, root / "own set.json", force=True)
    return made.content, made.notes


def test_a_draft_is_a_manifest_that_loads_and_moves_with_its_folder(ten: Path) -> None:
    content, notes = draft(ten)
    assert content["name"] == "own_set"
    assert content["labels"] == {"label_1": 1, "label_3": 3}
    assert content["training"][0]["image"].startswith("i/P")
    manifest = load_manifest(ten / "own set.json")
    moved = ten.rename(ten.parent / "moved")
    again = load_manifest(moved / "own set.json")
    assert again.hash == manifest.hash
    assert again.cases[0].images[0].is_file()
    assert any("1 in 20, 3 in 18" in note for note in notes)


def test_files_outside_the_manifests_folder_are_written_as_absolute_paths(ten: Path) -> None:
    made = drafted(ten / "i", ten / "l", ten / "elsewhere" / "set.json")
    assert made.content["training"][0]["image"].startswith(f"{ten}/i/")


def test_patients_are_divided_whole_70_10_20(ten: Path) -> None:
    content, _ = draft(ten, patient=r"(P\d)")
    sizes = [len(content[key]) for key in ("training", "validation", "testing")]
    assert sizes == [14, 2, 4]
    patients = [
        {case["patient"] for case in content[key]} for key in ("training", "validation", "testing")
    ]
    assert not patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]


def test_without_a_rule_it_is_told_that_each_case_is_a_patient(ten: Path) -> None:
    content, notes = draft(ten)
    assert content["training"][0]["patient"] == content["training"][0]["id"]
    assert any("its own patient" in note for note in notes)


def test_subjects_of_bids_are_the_patients(volume: Volume, tmp_path: Path) -> None:
    for name in ("sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1"):
        volume(f"i/{name}.nii.gz", 5)
        volume(f"l/{name}.nii.gz", 1)
    content, notes = draft(tmp_path)
    patients = {case["id"]: case["patient"] for key in content for case in _cases(content, key)}
    assert patients == {"sub-1_ses-1": "sub-1", "sub-1_ses-2": "sub-1", "sub-2_ses-1": "sub-2"}
    assert any("BIDS" in note for note in notes)


def _cases(content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return content[key] if key in ("training", "validation", "testing") else []


def test_folds_instead_of_parts(ten: Path) -> None:
    content, _ = draft(ten, folds=5, patient=r"(P\d)")
    assert "testing" not in content
    assert [len(fold["val"]) for fold in content["folds"]] == [4] * 5
    assert len(load_manifest(ten / "own set.json").part("train", 4)) == 16


@pytest.mark.parametrize(("lowest", "found"), [(-1000, "CT"), (-501, "CT"), (-500, "MR")])
def test_values_below_500_hu_look_like_ct_and_the_guess_is_told(
    volume: Volume, tmp_path: Path, lowest: int, found: str
) -> None:
    volume("i/a.nii.gz", lowest, 100)
    volume("l/a.nii.gz", 1)
    content, notes = draft(tmp_path)
    assert content["modality"] == found
    assert any(f"guessed the modality {found}" in note for note in notes)


def test_a_given_modality_is_not_guessed(ten: Path) -> None:
    content, notes = draft(ten, modality="pet")
    assert content["modality"] == "PET"
    assert not any("guessed" in note for note in notes)


def test_channels_get_a_modality_each(volume: Volume, tmp_path: Path) -> None:
    for channel, lowest in enumerate((0, -1000)):
        volume(f"i/a_000{channel}.nii.gz", lowest)
    volume("l/a.nii.gz", 1)
    assert draft(tmp_path)[0]["modality"] == ["MR", "CT"]
    assert draft(tmp_path, modality="MR")[0]["modality"] == ["MR", "MR"]


def test_pictures_look_like_photographs(tmp_path: Path) -> None:
    for folder, mode in (("i", "RGB"), ("l", "L")):
        (tmp_path / folder).mkdir()
        Image.new(mode, (5, 4), 255 if mode == "L" else (1, 2, 3)).save(
            tmp_path / folder / ("a.jpg" if mode == "RGB" else "a_mask.png"), quality=90
        )
    content, _ = draft(tmp_path)
    assert (content["modality"], content["labels"]) == ("photograph", {"label_255": 255})
    assert load_manifest(tmp_path / "own set.json").spatial_dims == 2


def test_a_label_of_another_shape_or_kind_is_left_alone_with_the_reason(
    ten: Path, volume: Volume
) -> None:
    volume("l/P1a.nii.gz", 1, shape=(4, 3, 3))
    (ten / "l/P2a.nii.gz").write_bytes(b"no gzip")
    made = drafted(ten / "i", ten / "l", ten / "set.json")
    reasons = {path.name: reason for path, reason in made.left}
    assert set(reasons) == {"P1a.nii.gz", "P2a.nii.gz"}
    assert "(4, 3, 2), its label's (4, 3, 3)" in reasons["P1a.nii.gz"]
    assert len(made.cases) == 18


def test_empty_labels_and_numbered_objects_are_refused(volume: Volume, tmp_path: Path) -> None:
    volume("i/a.nii.gz", 5, shape=(16, 16, 2))
    volume("l/a.nii.gz", 0, shape=(16, 16, 2))
    with pytest.raises(DataError, match="every label is empty"):
        draft(tmp_path)
    volume("l/a.nii.gz", *range(1, 300), shape=(16, 16, 2))
    with pytest.raises(DataError, match="299 different integers, 1 to 299"):
        draft(tmp_path)
    volume("l/a.nii.gz", -1, 1, shape=(16, 16, 2))
    with pytest.raises(PipelineError):
        draft(tmp_path)


def test_a_set_of_one_patient_only_trains_and_says_so(volume: Volume, tmp_path: Path) -> None:
    volume("i/a.nii.gz", 5)
    volume("l/a.nii.gz", 1)
    content, notes = draft(tmp_path)
    assert "testing" not in content
    assert any("one patient only" in note for note in notes)


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text("{}")
    with pytest.raises(InvalidValueError, match="exists") as caught:
        write_manifest({"a": 1}, path)
    assert "--force" in caught.value.hint
    assert path.read_text() == "{}"
    write_manifest({"a": "ü"}, path, force=True)
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ü"}
    assert [file.name for file in tmp_path.iterdir()] == ["set.json"]


def test_added_folds_leave_the_test_cases_out_and_train_on_val(ten: Path) -> None:
    draft(ten, patient=r"(P\d)")
    path = ten / "own set.json"
    assert add_folds(path, 4).sizes == (4, 4, 4, 4)
    manifest = load_manifest(path)
    test = {case.id for case in manifest.part("test")}
    for fold in range(4):
        parts = [{c.id for c in manifest.part(part, fold)} for part in ("train", "val", "test")]
        assert [len(part) for part in parts] == [12, 0, 4]
        assert not test & (parts[0] | parts[2])


def test_folds_that_are_there_are_replaced_only_when_forced(ten: Path) -> None:
    draft(ten, folds=2)
    path = ten / "own set.json"
    with pytest.raises(InvalidValueError, match="has 2 folds"):
        add_folds(path, 5)
    assert len(add_folds(path, 5, force=True).sizes) == 5
    assert len(load_manifest(path).folds) == 5
