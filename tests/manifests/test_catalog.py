import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import DataError, UnknownNameError
from pipeline.manifests import check_files, list_manifests, load_manifest, manifests_dir

Write = Callable[..., Path]
Touch = Callable[..., None]
ONE = [{"image": "a.nii.gz", "label": "b.nii.gz"}]


def test_a_file_is_looked_for_in_dataset_dir_own_folder_and_data_folder_in_that_order(
    write: Write, touch: Touch, tmp_path: Path
) -> None:
    path = write("own/set.json", training=ONE)
    touch("data/set/a.nii.gz", "data/set/b.nii.gz")
    assert load_manifest(path).cases[0].image == tmp_path / "data/set/a.nii.gz"
    touch("own/a.nii.gz")
    case = load_manifest(path).cases[0]
    assert (case.image, case.label) == (tmp_path / "own/a.nii.gz", tmp_path / "data/set/b.nii.gz")
    touch("given/a.nii.gz")
    assert load_manifest(path, tmp_path / "given").cases[0].image == tmp_path / "given/a.nii.gz"


def test_the_data_folder_is_called_like_the_set_not_like_the_file(
    write: Write, touch: Touch, tmp_path: Path
) -> None:
    touch("data/other/a.nii.gz")
    manifest = load_manifest(write(name="other", training=ONE))
    assert manifest.name == "other"
    assert manifest.cases[0].image == tmp_path / "data/other/a.nii.gz"


def test_an_absolute_path_is_taken_as_it_stands(write: Write, tmp_path: Path) -> None:
    image = str(tmp_path / "far" / "away.nii.gz")
    manifest = load_manifest(write(training=[{"image": image, "label": "b.nii.gz"}]))
    assert manifest.cases[0].image == Path(image)


def test_a_dataset_dir_that_is_not_there_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset_dir .* is no folder"):
        load_manifest(write(), tmp_path / "nowhere")


def test_missing_files_are_named_with_their_number_and_the_folders(
    write: Write, touch: Touch
) -> None:
    path = write()
    touch("i/c0.nii.gz", "i/c1.nii.gz", "l/c0.nii.gz")
    manifest = load_manifest(path)
    check_files(manifest, manifest.cases[:1])
    with pytest.raises(DataError, match=r'label of case "c1" is missing: .*c1.nii.gz \(1 of 2'):
        check_files(manifest)
    touch("l/c1.nii.gz")
    check_files(load_manifest(path))


def test_an_unknown_name_suggests_the_nearest(write: Write) -> None:
    with pytest.raises(UnknownNameError, match='"hipocampus"') as caught:
        load_manifest("hipocampus")
    assert "hippocampus" in caught.value.hint


def test_a_path_with_nothing_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "no.json", str(tmp_path / "no.json")):
        with pytest.raises(DataError, match=r"no manifest at .*no\.json"):
            load_manifest(path)


def test_labels_with_one_integer_are_refused(write: Write) -> None:
    with pytest.raises(DataError, match='"a" and "b" have the same integer 3'):
        load_manifest(write(labels={"a": 3, "b": 3}))


def test_a_structure_called_zero_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match='"liver" has the integer 0'):
        load_manifest(write(labels={"liver": 0}))


def test_only_background_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match="only background"):
        load_manifest(write(labels={"background": 0}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": {"a": 1, "b": 2}, "head": "sigmoid"}, "sigmoid head over 2 labels"),
        ({"regions": {"a": [1]}, "labels": None, "head": "softmax"}, "regions may overlap"),
    ],
)
def test_a_head_that_cannot_hold_the_labels_is_refused(
    write: Write, change: dict[str, object], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        load_manifest(write(**change))


def test_an_unknown_generator_is_refused(write: Write) -> None:
    with pytest.raises(UnknownNameError, match='generator "fantom"'):
        load_manifest(write(generator="fantom"))


def test_a_generated_set_is_looked_for_in_the_folder_that_its_generator_returns(
    write: Write, tmp_path: Path, touch: Touch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.manifests import catalog

    touch("made/i/c0.nii.gz")
    (tmp_path / "generator_of_a_test.py").write_text(
        f"from pathlib import Path\ndef make():\n    return Path({str(tmp_path / 'made')!r})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(catalog.GENERATORS, "test", "generator_of_a_test:make")
    manifest = load_manifest(write(generator="test"))
    assert manifest.cases[0].image == tmp_path / "made/i/c0.nii.gz"


@pytest.mark.parametrize(
    ("given", "found"),
    [("MRI", "MR"), ("ct", "CT"), (["T1w", "FLAIR"], ("MR", "MR")), (["PET", "CT"], ("PET", "CT"))],
)
def test_modalities_are_brought_to_one_spelling(write: Write, given: object, found: object) -> None:
    assert load_manifest(write(modality=given)).modality == found


def test_an_unknown_modality_is_refused_with_the_known_ones(write: Write) -> None:
    with pytest.raises(UnknownNameError, match='modality "tomogram"') as caught:
        load_manifest(write(modality="tomogram"))
    assert "microscopy" in caught.value.hint


@pytest.mark.parametrize(("window", "read"), [("liver", "liver"), ([60, 160], (60, 160))])
def test_a_window_is_a_name_or_level_and_width(write: Write, window: object, read: object) -> None:
    assert load_manifest(write(window=window)).window == read


def test_pictures_make_a_set_2d(write: Write) -> None:
    assert load_manifest(write()).spatial_dims == 3
    assert load_manifest(write(training=[{"image": "a.PNG", "label": "b.gif"}])).spatial_dims == 2


def test_the_packaged_manifests_come_before_those_of_the_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.manifests import place

    monkeypatch.setattr(place, "__file__", str(tmp_path / "pipeline" / "manifests" / "place.py"))
    assert manifests_dir() == tmp_path / "data_manifests"
    (tmp_path / "pipeline" / "_data" / "data_manifests").mkdir(parents=True)
    assert manifests_dir() == tmp_path / "pipeline" / "_data" / "data_manifests"


def test_the_list_has_a_row_for_each_manifest_whether_its_data_are_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNETWORKS_DATA", str(tmp_path))
    rows = {row.name: row for row in list_manifests()}
    files = {path.stem for path in manifests_dir().glob("*.json")} - {"schema"}
    assert set(rows) == files
    row = rows["hippocampus"]
    assert (row.modality, row.dims, row.cases, row.place, row.problem) == (
        *("MR", "3D", None, None, None),
    )
    assert row.labels == ("anterior", "posterior")
    images, labels = tmp_path / "hippocampus/images", tmp_path / "hippocampus/labels"
    images.mkdir(parents=True)
    labels.mkdir()
    for n in (1, 2, 3):
        (images / f"hippocampus_00{n}.nii.gz").touch()
    held_out = ["hippocampus_001", "hippocampus_002"]
    (tmp_path / "hippocampus/splits.json").write_text(json.dumps({"folds": [held_out]}))
    row = {row.name: row for row in list_manifests()}["hippocampus"]
    assert (row.cases, row.place) == (3, str(tmp_path / "hippocampus"))
    (tmp_path / "hippocampus/splits.json").write_text(json.dumps({"folds": [held_out[:1]]}))
    row = {row.name: row for row in list_manifests()}["hippocampus"]
    assert 'patient "1" is in two parts' in (row.problem or "")
