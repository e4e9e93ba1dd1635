from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError, GeometryError
from pipeline.io import write_nifti
from pipeline.manifests import (
    Case,
    check_files,
    label_of_row,
    load_label,
    load_manifest,
    row_of_label,
)

Write = Callable[..., Path]
RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)


def picture(path: Path, rows: Any, dtype: str = "u1", **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(rows, dtype)).save(path, **options)
    return path


def only(manifest: Path) -> Case:
    (case,) = load_manifest(manifest).cases
    assert case.label is not None
    return case


def values(case: Case) -> list[Any]:
    assert case.label is not None
    again = label_of_row(row_of_label(case.label))
    assert again == case.label
    found: list[Any] = load_label(again).array.tolist()
    return found


def listed(label: Any, image: str = "a.png") -> list[dict[str, Any]]:
    return [{"image": image, "label": label}]


def test_instances_together_are_the_only_label(write: Write, tmp_path: Path) -> None:
    picture(tmp_path / "m/1.png", [[255, 0, 0]])
    picture(tmp_path / "m/2.png", [[0, 0, 255]])
    picture(tmp_path / "m/.2.png", [[255, 255, 255]])
    labels = {"background": 0, "nucleus": 7}
    for form in ("m", ["m/1.png", "m/2.png"]):
        case = only(write(labels=labels, training=listed({"instances": form})))
        assert values(case) == [[7, 0, 7]]


def test_masks_become_the_integers_of_their_labels(write: Write, tmp_path: Path) -> None:
    picture(tmp_path / "l.png", [[1, 1, 0]])
    picture(tmp_path / "t.png", [[0, 255, 0]])
    form = {"masks": {"liver": "l.png", "tumour": "t.png"}}
    case = only(write(labels={"liver": 2, "tumour": 300}, training=listed(form)))
    assert values(case) == [[2, 300, 0]]
    assert load_label(case.label).array.dtype == np.uint16  # type: ignore[arg-type]


def test_a_pattern_names_one_mask_a_structure(write: Write, tmp_path: Path) -> None:
    for name, voxel in (("liver", 0), ("aorta", 1)):
        mask = np.zeros((3, 1, 1), np.uint8)
        mask[voxel] = 1
        write_nifti(tmp_path / f"s1/seg/{name}.nii.gz", mask, np.eye(4))
    write_nifti(tmp_path / "s1/ct.nii.gz", np.zeros((3, 1, 1), np.int16), np.eye(4))
    pattern = {"images": "{id}/ct.nii.gz", "labels": {"masks": "{id}/seg/{label}.nii.gz"}}
    manifest = write(labels={"aorta": 1, "liver": 2}, training=None, cases=pattern)
    assert values(only(manifest)) == [[[2]], [[1]], [[0]]]
    (tmp_path / "s1/seg/liver.nii.gz").unlink()
    with pytest.raises(DataError, match=r"label of case .* is missing: .*liver\.nii\.gz"):
        check_files(load_manifest(manifest))


def test_masks_of_another_size_or_grid_are_refused(write: Write, tmp_path: Path) -> None:
    for n, (shape, shift) in enumerate([((2, 2, 2), 0), ((2, 2, 2), 1), ((3, 2, 2), 0)]):
        affine = np.eye(4)
        affine[0, 3] = shift
        write_nifti(tmp_path / f"{n}.nii", np.ones(shape, np.uint8), affine)
    for other, kind, words in ((1, GeometryError, "1.00 voxels away"), (2, DataError, "size")):
        label = {"instances": ["0.nii", f"{other}.nii"]}
        with pytest.raises(kind, match=words):
            values(only(write(training=listed(label, "a.nii"))))


def test_a_folder_without_masks_is_told(write: Write, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(DataError, match="no mask in it"):
        values(only(write(training=listed({"instances": "m"}))))


def test_colours_are_classes_and_black_is_background(write: Write, tmp_path: Path) -> None:
    picture(tmp_path / "l.png", [[RED, GREEN, BLACK]])
    colours = {"liver": RED, "tumour": GREEN}
    manifest = write(labels={"liver": 1, "tumour": 2}, colours=colours, training=listed("l.png"))
    assert values(only(manifest)) == [[1, 2, 0]]


def test_a_colour_without_meaning_is_refused_and_a_background_may_be_white(
    write: Write, tmp_path: Path
) -> None:
    picture(tmp_path / "l.png", [[RED, (255, 255, 255)]])
    with pytest.raises(DataError, match=r"\[255, 255, 255\]"):
        values(only(write(colours={"liver": RED}, training=listed("l.png"))))
    colours = {"liver": RED, "background": [255] * 3}
    assert values(only(write(colours=colours, training=listed("l.png")))) == [[1, 0]]


def test_a_jpeg_is_cut_where_the_manifest_says(write: Write, tmp_path: Path) -> None:
    rows = np.zeros((16, 16))
    rows[:, 8:] = 250
    picture(tmp_path / "l.jpg", rows, quality=95)
    form = {"mask": "l.jpg", "threshold": 128}
    found = values(only(write(training=listed(form))))
    assert found == (rows > 128).astype(int).tolist()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": {"a": 1, "b": 2}, "training": listed({"instances": "m"})}, "2 are declared"),
        ({"training": listed({"masks": {"spleen": "m.png"}})}, 'a mask of "spleen"'),
        ({"colours": {"spleen": [1, 2, 3]}}, 'a colour for "spleen"'),
        ({"colours": {"liver": [1, 2, 3], "background": [1, 2, 3]}}, "given twice"),
        ({"colours": {"liver": [1, 2, 300]}}, "300"),
        ({"training": listed({"mask": "m.jpg"})}, "label"),
        ({"training": listed({"masks": {}})}, "label"),
        ({"training": listed({"instances": []})}, "label"),
    ],
)
def test_forms_that_contradict_the_labels_are_refused(
    write: Write, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        load_manifest(write(**changes))


def test_the_hash_knows_the_form_but_no_path(write: Write, tmp_path: Path) -> None:
    hashes = [
        load_manifest(write(f"{folder}/set.json", name="s", training=training)).hash
        for folder in "ab"
        for training in (listed("l.png"), listed({"instances": ["l.png"]}))
    ]
    assert hashes[0] == hashes[2] != hashes[1] == hashes[3]
