from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def below(label: Any, root: Path) -> str:
    """A label's path below `root`; other forms as text."""
    if isinstance(label, Path):
        return str(label.relative_to(root))
    ((kind, value),) = label.items()
    if isinstance(value, dict):
        return f"{kind} " + " ".join(f"{k}={below(v, root)}" for k, v in value.items())
    return f"{kind} {below(value, root)}"


def shown(pairing: Pairing, root: Path) -> dict[str, tuple[str, str]]:
    return {
        pair.id: (
            " ".join(str(path.relative_to(root)) for path in pair.images),
            below(pair.label, root),
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


def test_masks_whose_name_is_a_word_of_labels_are_found_in_a_folder_a_case(
    make: Make, tmp_path: Path
) -> None:
    make("case_00000/imaging.nii.gz", "case_00000/segmentation.nii.gz")
    make("case_00001/imaging.nii.gz", "case_00001/segmentation.nii.gz", "case_00001/notes.txt")
    found = pair_files(tmp_path)
    assert shown(found, tmp_path)["case_00001"] == (
        "case_00001/imaging.nii.gz",
        "case_00001/segmentation.nii.gz",
    )
    assert len(found.pairs) == 2
    assert reasons(found, tmp_path) == {"case_00001/notes.txt": "no image that is read here"}


def test_several_images_of_each_case_are_its_channels_and_it_is_told(
    make: Make, tmp_path: Path
) -> None:
    for name in ("BraTS_1", "BraTS_2"):
        make(*(f"{name}/{name}_{kind}.nii.gz" for kind in ("t1", "flair", "t2", "seg")))
    make("BraTS_3/BraTS_3_t1.nii.gz", "BraTS_3/BraTS_3_seg.nii.gz")
    found = pair_files(tmp_path)
    images, label = shown(found, tmp_path)["BraTS_2"]
    assert images.split() == [f"BraTS_2/BraTS_2_{kind}.nii.gz" for kind in ("flair", "t1", "t2")]
    assert label == "BraTS_2/BraTS_2_seg.nii.gz"
    assert "channels in this order: flair, t1, t2" in found.notes[0]
    assert reasons(found, tmp_path) == {"BraTS_3": "has the images t1, others have flair, t1, t2"}
    chosen = shown(pair_files(tmp_path, only="*_t1.nii.gz"), tmp_path)
    assert set(chosen) == {"BraTS_1", "BraTS_2", "BraTS_3"}


def test_one_mask_an_object_in_a_folder_masks(make: Make, tmp_path: Path) -> None:
    make("stage1/ab/images/ab.png", "stage1/ab/masks/1.png", "stage1/ab/masks/2.png")
    make("stage1/cd/images/cd.png", "stage1/cd/masks/1.png")
    found = shown(pair_files(tmp_path), tmp_path)
    assert found == {
        "ab": ("stage1/ab/images/ab.png", "instances stage1/ab/masks"),
        "cd": ("stage1/cd/images/cd.png", "instances stage1/cd/masks"),
    }


def test_one_mask_a_structure_in_a_folder_segmentations(make: Make, tmp_path: Path) -> None:
    for name in ("s0000", "s0001"):
        make(f"{name}/ct.nii.gz", *(f"{name}/segmentations/{o}.nii.gz" for o in ("liver", "aorta")))
    found = shown(pair_files(tmp_path), tmp_path)
    masks = "masks aorta=s0000/segmentations/aorta.nii.gz liver=s0000/segmentations/liver.nii.gz"
    assert found["s0000"] == ("s0000/ct.nii.gz", masks)


def test_several_masks_of_a_case_are_told_apart_by_their_structure(
    make: Make, tmp_path: Path
) -> None:
    make("p1/p1.nii.gz", "p1/p1_liver_mask.nii.gz", "p1/p1_tumour_mask.nii.gz")
    _, label = shown(pair_files(tmp_path), tmp_path)["p1"]
    assert label == "masks liver=p1/p1_liver_mask.nii.gz tumour=p1/p1_tumour_mask.nii.gz"


def test_subfolders_of_many_pairs_are_no_cases(make: Make, tmp_path: Path) -> None:
    for site in ("north", "south"):
        make(*(f"{site}/{n}{end}.png" for n in "ab" for end in ("", "_mask")))
    found = shown(pair_files(tmp_path), tmp_path)
    assert set(found) == {"north__a", "north__b", "south__a", "south__b"}
    assert found["south__b"] == ("south/b.png", "south/b_mask.png")


@pytest.mark.parametrize(
    ("images", "labels"), [("images", "masks"), ("Images", "Labels"), ("train", "train_masks")]
)
def test_halves_with_usual_names_need_no_second_folder(
    make: Make, tmp_path: Path, images: str, labels: str
) -> None:
    make(f"{images}/a.png", f"{labels}/a.png")
    assert shown(pair_files(tmp_path), tmp_path) == {"a": (f"{images}/a.png", f"{labels}/a.png")}


def test_images_without_labels_beside_those_of_a_challenge_are_told(
    make: Make, tmp_path: Path
) -> None:
    make("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTs/b_0000.nii.gz", "dataset.json")
    told = reasons(pair_files(tmp_path), tmp_path)
    assert told == {"imagesTs": "1 images without labels; predict them with a trained model"}


def test_what_lies_beside_the_halves_that_were_taken_is_told(make: Make, tmp_path: Path) -> None:
    make("images/a.png", "masks/a.png", "instances/a.png")
    found = pair_files(tmp_path)
    assert reasons(found, tmp_path) == {"instances": "1 files beside images and masks"}
    assert found.notes == ["images are those of images, labels those of masks"]


def test_bids_pairs_by_entities_and_leaves_other_scans_alone(make: Make, tmp_path: Path) -> None:
    for sub in ("sub-1", "sub-2"):
        make(f"{sub}/anat/{sub}_T1w.nii.gz", f"{sub}/func/{sub}_task-rest_bold.nii.gz")
        make(f"derivatives/manual/{sub}/anat/{sub}_space-orig_T1w_desc-hand_dseg.nii.gz")
    make("derivatives/manual/sub-1/anat/sub-1_desc-preproc_T1w.nii.gz", "participants.tsv.txt")
    found = pair_files(tmp_path)
    assert shown(found, tmp_path)["sub-2_T1w"] == (
        "sub-2/anat/sub-2_T1w.nii.gz",
        "derivatives/manual/sub-2/anat/sub-2_space-orig_T1w_desc-hand_dseg.nii.gz",
    )
    told = reasons(found, tmp_path)
    assert told["sub-1/func/sub-1_task-rest_bold.nii.gz"].startswith("no scan to segment")
    preprocessed = "derivatives/manual/sub-1/anat/sub-1_desc-preproc_T1w.nii.gz"
    assert told[preprocessed] == "a derivative that is no mask"


def test_a_mask_of_bids_that_could_be_of_two_scans_is_told_with_the_remedy(
    make: Make, tmp_path: Path
) -> None:
    make("sub-1/anat/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_FLAIR.nii.gz")
    make("derivatives/sub-1/sub-1_dseg.nii.gz")
    make("sub-2/anat/sub-2_T1w.nii.gz", "derivatives/sub-2/sub-2_dseg.nii.gz")
    found = pair_files(tmp_path)
    assert set(shown(found, tmp_path)) == {"sub-2_T1w"}
    told = reasons(found, tmp_path)["derivatives/sub-1/sub-1_dseg.nii.gz"]
    assert told == (
        "a mask that could be of sub-1_FLAIR.nii.gz, sub-1_T1w.nii.gz; "
        "choose the images with --only"
    )
    assert set(shown(pair_files(tmp_path, only="*_T1w*"), tmp_path)) == {"sub-1_T1w", "sub-2_T1w"}


def test_masks_of_bids_that_differ_in_their_label_are_structures(
    make: Make, tmp_path: Path
) -> None:
    make("sub-1/anat/sub-1_T1w.nii.gz")
    make(*(f"derivatives/sub-1/sub-1_label-{side}_mask.nii.gz" for side in "LR"))
    _, label = shown(pair_files(tmp_path), tmp_path)["sub-1_T1w"]
    assert label.startswith("masks L=derivatives/sub-1/sub-1_label-L_mask.nii.gz R=")
