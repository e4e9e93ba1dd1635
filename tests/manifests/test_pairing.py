from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.manifests.pairing import Pairing, pair_files

PNG = b"\x89PNG\r\n\x1a\n"
Make = Callable[..., None]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make files that look like images; a `.dcm` gets DICOM's preamble, a `.txt` nothing."""

    def _make(*names: str) -> None:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            dicom = bytes(128) + b"DICM"
            path.write_bytes({".dcm": dicom, ".txt": b"x"}.get(path.suffix, PNG))

    return _make


def shown(pairing: Pairing, root: Path) -> dict[str, tuple[str, str]]:
    return {
        pair.id: (
            " ".join(str(path.relative_to(root)) for path in pair.images),
            str(pair.label.relative_to(root)),
        )
        for pair in pairing.pairs
    }


def reasons(pairing: Pairing, root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): reason for path, reason in pairing.left}


def test_equal_stems_are_paired_whatever_the_extension(make: Make, tmp_path: Path) -> None:
    make("i/a b.nii.gz", "i/é.nii", "l/a b.nii", "l/é.nii.gz")
    found = shown(pair_files(tmp_path / "i", tmp_path / "l"), tmp_path)
    assert found == {"a b": ("i/a b.nii.gz", "l/a b.nii"), "é": ("i/é.nii", "l/é.nii.gz")}


def test_a_mask_of_carvana_ends_in_mask(make: Make, tmp_path: Path) -> None:
    make("train/0cdf_01.jpg", "masks/0cdf_01_mask.gif")
    found = shown(pair_files(tmp_path / "train", tmp_path / "masks"), tmp_path)
    assert found == {"0cdf_01": ("train/0cdf_01.jpg", "masks/0cdf_01_mask.gif")}


def test_masks_may_lie_with_their_images(make: Make, tmp_path: Path) -> None:
    make("a.png", "a_mask.png", "b.png", "b-seg.png")
    found = shown(pair_files(tmp_path), tmp_path)
    assert found == {"a": ("a.png", "a_mask.png"), "b": ("b.png", "b-seg.png")}


def test_the_folders_of_msd_are_found_by_their_names(make: Make, tmp_path: Path) -> None:
    make("imagesTr/p_001.nii.gz", "labelsTr/p_001.nii.gz", "imagesTs/p_002.nii.gz")
    found = shown(pair_files(tmp_path), tmp_path)
    assert found == {"p_001": ("imagesTr/p_001.nii.gz", "labelsTr/p_001.nii.gz")}


def test_numbered_endings_of_nnunet_are_channels(make: Make, tmp_path: Path) -> None:
    make("imagesTr/b_0000.nii.gz", "imagesTr/b_0001.nii.gz", "labelsTr/b.nii.gz")
    found = shown(pair_files(tmp_path), tmp_path)
    both = "imagesTr/b_0000.nii.gz imagesTr/b_0001.nii.gz"
    assert found == {"b": (both, "labelsTr/b.nii.gz")}


def test_four_digits_without_a_first_channel_are_part_of_the_name(
    make: Make, tmp_path: Path
) -> None:
    make("i/day_2019.png", "i/day_2020.png", "l/day_2019.png", "l/day_2020.png")
    found = pair_files(tmp_path / "i", tmp_path / "l")
    assert [pair.id for pair in found.pairs] == ["day_2019", "day_2020"]


def test_a_dicom_folder_is_an_image(make: Make, tmp_path: Path) -> None:
    make("scans/P1/1.dcm", "scans/P1/2.dcm", "labels/P1.nii.gz")
    found = shown(pair_files(tmp_path / "scans", tmp_path / "labels"), tmp_path)
    assert found == {"P1": ("scans/P1", "labels/P1.nii.gz")}


def test_equal_names_in_subfolders_are_paired_by_subfolder(make: Make, tmp_path: Path) -> None:
    make("i/x/ct.nii.gz", "i/y/ct.nii.gz", "l/x/ct.nii.gz", "l/y/ct.nii.gz")
    found = shown(pair_files(tmp_path / "i", tmp_path / "l"), tmp_path)
    assert found == {
        "x__ct": ("i/x/ct.nii.gz", "l/x/ct.nii.gz"),
        "y__ct": ("i/y/ct.nii.gz", "l/y/ct.nii.gz"),
    }


def test_labels_inside_the_images_folder_are_no_images(make: Make, tmp_path: Path) -> None:
    make("a.png", "masks/a.png")
    found = pair_files(tmp_path, tmp_path / "masks")
    assert shown(found, tmp_path) == {"a": ("a.png", "masks/a.png")}
    assert not found.left


def test_what_is_left_alone_has_its_reason(make: Make, tmp_path: Path) -> None:
    make("i/a.png", "i/b.png", "i/c.png", "i/c.jpg", "i/notes.txt", "i/.hidden.png")
    make("l/a.png", "l/c.png", "l/d.png")
    found = pair_files(tmp_path / "i", tmp_path / "l")
    assert [pair.id for pair in found.pairs] == ["a"]
    assert reasons(found, tmp_path) == {
        "i/notes.txt": "no image that is read here",
        "i/b.png": "no label of that name",
        "i/c.jpg": "several images of that name in one folder",
        "i/c.png": "several images of that name in one folder",
        "l/c.png": "a label of no image",
        "l/d.png": "a label of no image",
    }


def test_no_label_for_any_image_is_refused(make: Make, tmp_path: Path) -> None:
    make("i/a.png", "l/b.png")
    with pytest.raises(DataError, match=r"none of 1 images in .*i has a label in .*l"):
        pair_files(tmp_path / "i", tmp_path / "l")
    with pytest.raises(DataError, match="has a label beside it"):
        pair_files(tmp_path / "i")


def test_folders_that_are_missing_or_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        pair_files(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no image in"):
        pair_files(tmp_path)
