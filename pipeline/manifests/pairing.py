"""Finds which label belongs to which image in a folder that was not arranged for us."""

from pathlib import Path
from typing import Final

from pipeline.errors import DataError
from pipeline.manifests.found import Found, Pair, Pairing, find_images, matching
from pipeline.manifests.pairing_bids import is_bids, pair_bids
from pipeline.manifests.pairing_cases import pair_case_folders
from pipeline.manifests.pairing_drawn import is_drawn, pair_drawings
from pipeline.manifests.pairing_names import divide_by_name, pair_by_name

__all__ = ["Pair", "Pairing", "pair_files"]

HALVES: Final = (
    ("imagesTr", "labelsTr"),
    *((images, labels) for images in ("images", "image", "imgs", "img", "scans", "train")
      for labels in ("labels", "label", "masks", "mask", "train_masks", "segmentations", "gt")),
)  # fmt: skip
TEST_FOLDERS: Final = ("imagests", "test")


def pair_files(images: Path, labels: Path | None = None, only: str | None = None) -> Pairing:
    """Pair images and labels by the layouts that people have.

    Series with an RTSTRUCT or SEG; names of BIDS; a folder a case; else names: a label is called
    like its image or ends in `_mask`, `_label`, `_seg` or `_gt`, and images that end in `_0000`,
    `_0001` are channels of one case. A folder with `imagesTr` and `labelsTr`, `images` and
    `masks`, or the like needs no second one. Subfolders are searched.

    Args:
        images: Folder of the images, or of both.
        labels: Folder of the labels; None: they lie with the images.
        only: Pattern that images must match, as `*_T1w*`.

    Raises:
        DataError: A folder is missing, holds nothing that is read, or nothing fits.
    """
    for folder in (images, labels):
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder} is no folder", hint="give the folder of the images")
    result = Pairing()
    whole = images
    if labels is None:
        images, labels = _halves(images)
    if labels is not None and images != whole:
        _tell_others(whole, (images, labels), result)
    found = find_images(images, result)
    there = None if labels is None else find_images(labels, result)
    if labels is not None and there is not None:
        inside = labels.resolve()
        for paths in (found.images, found.drawings):
            paths[:] = [path for path in paths if not path.resolve().is_relative_to(inside)]
    wanted = matching(found.images, images, only)
    if not wanted:
        raise DataError(
            f"no image{f' that matches {only}' if only else ''} in {images}",
            hint="images are .nii.gz, .nii, PNG, JPEG, TIFF or DICOM folders",
        )
    _pair((images, labels or images), found, there, (wanted, only), result)
    if not result.pairs:
        raise DataError(
            f"none of {len(wanted)} images in {images} has a label"
            + (f" in {labels}" if labels else " beside it"),
            hint="give the folder of the labels second; a label has the name of its image",
        )
    return result


def _pair(
    roots: tuple[Path, Path],
    found: Found,
    there: Found | None,
    choice: tuple[list[Path], str | None],
    result: Pairing,
) -> None:
    """Pair by the first layout that fits; `choice` is the wanted images and their pattern."""
    wanted, only = choice
    labels = None if there is None else there.images
    drawings = [*found.drawings, *(there.drawings if there else [])]
    if is_drawn(wanted, drawings):
        pair_drawings(wanted, drawings, roots[0], result)
        for path in labels or []:
            result.leave(path, "no RTSTRUCT or SEG, as the other labels are")
    elif is_bids([*found.images, *(labels or [])]):
        pair_bids(found.images, labels, wanted, result)
    elif labels is not None:
        pair_by_name(wanted, labels, roots, result)
    elif not pair_case_folders(roots[0], result, only):
        files, labels = divide_by_name(found.images)
        pair_by_name([path for path in files if path in wanted], labels, roots, result)


def _halves(folder: Path) -> tuple[Path, Path | None]:
    """The folders of images and labels inside one that holds both, by their usual names."""
    inside = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    for images, labels in HALVES:
        if images.lower() in inside and labels.lower() in inside:
            return inside[images.lower()], inside[labels.lower()]
    return folder, None


def _tell_others(folder: Path, taken: tuple[Path, Path], result: Pairing) -> None:
    """Say which halves of a folder were taken, and what else lies in it."""
    images, labels = taken
    result.notes.append(f"images are those of {images.name}, labels those of {labels.name}")
    for path in sorted(folder.iterdir()):
        if path in taken or not path.is_dir() or path.name.startswith("."):
            continue
        count = len(find_images(path).images)
        if count and path.name.lower() in TEST_FOLDERS:
            result.leave(path, f"{count} images without labels; predict them with a trained model")
        elif count:
            result.leave(path, f"{count} files beside {images.name} and {labels.name}")
