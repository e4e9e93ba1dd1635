"""Labels that are structures of an RTSTRUCT or segments of a SEG."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.io import read_image, write_nifti
from pipeline.manifests import (
    DrawnLabel,
    label_of_row,
    load_label,
    load_manifest,
    row_of_label,
)
from pipeline.manifests.drawn import Scheme
from tests.drawings import drawn_labels, write_drawn_set

LABELS = {"background": 0, "liver": 1, "tumour": 5}


def drawn(labels: dict[str, int], **raw: Any) -> DrawnLabel:
    scheme = Scheme(labels, Path("set.json"))
    return scheme.drawn({"rtstruct": "rs.dcm", **raw}, Path, Path("ct"), 2)


@pytest.mark.parametrize("kind", ["rtstruct", "seg"])
def test_a_drawing_becomes_the_integers_of_the_labels_on_the_grid_of_its_image(
    tmp_path: Path, kind: str
) -> None:
    manifest = load_manifest(write_drawn_set(tmp_path, kind))
    for case, expected in zip(manifest.cases, drawn_labels(), strict=True):
        assert isinstance(case.label, DrawnLabel)
        assert case.label_file == tmp_path / case.id / "drawing.dcm"
        found, image = load_label(case.label), read_image(case.images[0])
        assert np.array_equal(found.array, expected)
        assert found.array.dtype == np.uint8
        assert found.affine == pytest.approx(image.affine)


def test_without_structures_the_labels_names_count_without_case_and_blanks() -> None:
    label = drawn(LABELS)
    assert (label.structures, label.integers) == (("liver", "tumour"), (1, 5))
    assert (label.image, label.series, label.kind) == (Path("ct"), 2, "rtstruct")


def test_structures_called_as_labels_count_by_name_in_any_order_and_number() -> None:
    swapped = drawn(LABELS, structures=["Tumour ", "LIVER"])
    assert (swapped.structures, swapped.integers) == (("Tumour ", "LIVER"), (5, 1))
    alone = drawn(LABELS, structures=["tumour"])
    assert (alone.structures, alone.integers) == (("tumour",), (5,))


def test_structures_called_otherwise_count_by_their_order_and_null_is_none() -> None:
    ordered = drawn(LABELS, structures=["GTV 1", 7])
    assert (ordered.structures, ordered.integers) == (("GTV 1", 7), (1, 5))
    without = drawn(LABELS, structures=[None, "GTV 1"])
    assert (without.structures, without.integers) == (("GTV 1",), (5,))


@pytest.mark.parametrize(
    ("structures", "words"),
    [
        (["GTV"], "1 structures of rs.dcm for 2 labels \\(liver, tumour\\)"),
        (["a", "b", "c"], "3 structures of rs.dcm for 2 labels"),
        (["tumour", "GTV"], 'the structure "tumour" of rs.dcm stands for the label "liver"'),
    ],
)
def test_structures_that_fit_no_labels_are_refused(structures: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        drawn(LABELS, structures=structures)


def test_structures_without_labels_are_refused() -> None:
    with pytest.raises(DataError, match="0 labels \\(none are declared\\)"):
        drawn({}, structures=["GTV"])


def test_a_case_that_has_none_of_the_structures_is_background(tmp_path: Path) -> None:
    manifest = load_manifest(write_drawn_set(tmp_path, "rtstruct", ("train",)))
    case = manifest.cases[0]
    none = DrawnLabel("rtstruct", tmp_path / "c0/drawing.dcm", case.images[0], (), ())
    found = load_label(none)
    assert found.array.shape == read_image(case.images[0]).shape
    assert not found.array.any()


def test_overlaps_without_priority_and_unknown_names_are_refused(tmp_path: Path) -> None:
    manifest = load_manifest(write_drawn_set(tmp_path, "seg", ("train",)))
    file, image = tmp_path / "c0/drawing.dcm", manifest.cases[0].images[0]
    with pytest.raises(DataError, match="Organ and lesion overlap in 64 voxels"):
        load_label(DrawnLabel("seg", file, image, ("organ", "lesion"), (1, 4)))
    with pytest.raises(DataError, match="no structure is called 'spleen'"):
        load_label(DrawnLabel("seg", file, image, ("spleen",), (1,)))


def test_a_drawing_beside_an_image_that_is_no_series_is_refused(tmp_path: Path) -> None:
    manifest = load_manifest(write_drawn_set(tmp_path, "rtstruct", ("train",)))
    volume = read_image(manifest.cases[0].images[0])
    assert volume.affine is not None
    image = tmp_path / "c0.nii.gz"
    write_nifti(image, volume.array, volume.affine)
    label = DrawnLabel("rtstruct", tmp_path / "c0/drawing.dcm", image, ("organ",), (1,))
    with pytest.raises(DataError, match=r"drawn on a DICOM series, .*c0\.nii\.gz is none") as error:
        load_label(label)
    assert "unetworks convert" in error.value.hint


def test_a_row_of_a_data_list_holds_all_of_a_label(tmp_path: Path) -> None:
    full = DrawnLabel(
        "seg",
        tmp_path / "s.dcm",
        tmp_path / "ct",
        ("a", "2"),
        (3, 300),
        4,
        0.25,
        ("a",),
        True,
        True,
    )
    for label in (full, drawn(LABELS), tmp_path / "label.nii.gz"):
        assert label_of_row(row_of_label(label)) == label
    assert full.to_row()["threshold"] == 0.25
    assert set(drawn(LABELS).to_row()) == {"rtstruct", "image", "structures", "integers", "series"}


def test_patterns_take_drawings(tmp_path: Path) -> None:
    path = write_drawn_set(tmp_path, "rtstruct", ("train", "test"))
    listed = load_manifest(path)
    text = path.read_text()
    start = text.index('"cases"')
    pattern = '"cases": {"images": "{id}/ct", "labels": {"rtstruct": "{id}/drawing.dcm", '
    path.write_text(text[:start] + pattern + '"priority": ["lesion"]}, "split": "train"}}')
    matched = load_manifest(path)
    assert [case.label for case in matched.cases] == [case.label for case in listed.cases]
    path.write_text(path.read_text().replace("{id}/drawing", "c0/drawing"))
    with pytest.raises(DataError, match="labels is") as error:
        load_manifest(path)
    assert "with `{id}` in the path" in error.value.hint


def test_the_hash_knows_the_structures_and_no_path(tmp_path: Path) -> None:
    one = write_drawn_set(tmp_path / "a", "rtstruct", ("train",))
    other = write_drawn_set(tmp_path / "b", "rtstruct", ("train",))
    assert load_manifest(one).hash == load_manifest(other).hash
    other.write_text(other.read_text().replace('"priority"', '"structures": [1, 2], "priority"'))
    assert load_manifest(one).hash != load_manifest(other).hash


def test_a_drawing_that_is_not_there_is_named(tmp_path: Path) -> None:
    from pipeline.manifests import check_files

    path = write_drawn_set(tmp_path, "seg", ("train",))
    (tmp_path / "c0" / "drawing.dcm").unlink()
    with pytest.raises(DataError, match=r'label of case "c0" is missing: .*drawing\.dcm'):
        check_files(load_manifest(path))


DATA = os.environ.get("UNETWORKS_DATA")


@pytest.mark.skipif(not DATA, reason="UNETWORKS_DATA names no folder with sts_ct")
def test_d109_the_structures_of_sts_ct_through_a_manifest_equal_the_published_masks(
    tmp_path: Path,
) -> None:
    test = Path(str(DATA)) / "sts_ct" / "test"
    path = tmp_path / "sts.json"
    path.write_text(
        '{"name": "sts", "modality": "CT", "labels": {"tumour": 1}, "cases": {"images": "'
        f'{test}/{{id}}/dicom", "labels": {{"rtstruct": "{test}/{{id}}/RS.dcm", '
        '"structures": ["GTV_Mass_CT"]}, "split": "test"}}'
    )
    manifest = load_manifest(path)
    assert len(manifest.cases) == 4
    for case in manifest.cases:
        assert case.label is not None
        found, published = load_label(case.label), load_label(test / case.id / "label.nii.gz")
        assert np.array_equal(found.array, published.array)
        assert found.array.any()
