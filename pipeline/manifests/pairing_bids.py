"""Pairs images and masks that are called as BIDS asks: `sub-01_ses-1_T1w`, `..._dseg`."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.manifests.cases import stem
from pipeline.manifests.found import Pair, Pairing, RawLabel

MASKS: Final = ("dseg", "mask", "seg", "roi", "label")  # suffixes of derivatives that are labels
_OF_LABELS: Final = ("label", "desc", "res", "den", "hemi", "atlas", "seg")
_NO_IMAGES: Final = ("func", "dwi", "fmap", "perf", "eeg", "meg")  # data types of other kinds


@dataclass(frozen=True, slots=True)
class Name:
    """A file's name by its parts: `sub-01_label-L_mask` is two entities and a word."""

    file: Path
    entities: dict[str, str]
    words: tuple[str, ...]

    @property
    def is_mask(self) -> bool:
        """Whether the name's suffix is one of a mask."""
        return bool(self.words) and self.words[-1].lower() in MASKS


def is_bids(files: Sequence[Path]) -> bool:
    """Whether all files are called by subject."""
    return bool(files) and all(path.name.startswith("sub-") for path in files)


def parse_name(file: Path) -> Name:
    """Take a file's name apart."""
    parts = stem(file.name).split("_")
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    return Name(file, entities, tuple(part for part in parts if "-" not in part))


def pair_bids(
    images: Sequence[Path],
    labels: Sequence[Path] | None,
    wanted: Collection[Path],
    result: Pairing,
) -> None:
    """Pair images and masks whose entities agree.

    Masks of one image that differ in their entity `label` become one label each.

    Args:
        images: All files, or the images.
        labels: The masks; None: those of `images` whose suffix says so.
        wanted: Images that may be paired.
        result: Gets the pairs and what is left alone.
    """
    names = [parse_name(path) for path in images]
    masks = [name for name in names if name.is_mask]
    if labels is not None:
        masks = [parse_name(path) for path in labels]
    scans = []
    for name in names:
        if name.file not in wanted or (labels is None and name.is_mask):
            continue
        if name.file.parent.name in _NO_IMAGES:
            result.leave(
                name.file, f"no scan to segment, as its folder {name.file.parent.name} says"
            )
        elif labels is None and "derivatives" in name.file.parts and not name.is_mask:
            result.leave(name.file, "a derivative that is no mask")
        else:
            scans.append(name)
    of_scan: dict[Path, list[Name]] = defaultdict(list)
    for mask in masks:
        fits = [scan for scan in scans if _agree(mask, scan)]
        if len(fits) == 1:
            of_scan[fits[0].file].append(mask)
        elif fits:
            shown = ", ".join(scan.file.name for scan in fits[:4])
            result.leave(
                mask.file, f"a mask that could be of {shown}; choose the images with --only"
            )
        else:
            result.leave(mask.file, "a label of no image")
    for scan in scans:
        _add(scan, of_scan.get(scan.file, []), result)


def _add(scan: Name, masks: list[Name], result: Pairing) -> None:
    """Add a pair, or leave the image alone."""
    label: RawLabel
    kinds = {mask.entities.get("label", "") for mask in masks}
    if not masks:
        result.leave(scan.file, "no label of that name")
        return
    if len(masks) == 1:
        label = masks[0].file
    elif len(kinds) == len(masks) and "" not in kinds:
        label = {"masks": {mask.entities["label"]: mask.file for mask in masks}}
    else:
        result.leave(scan.file, f"{len(masks)} masks that could be its own")
        return
    result.pairs.append(Pair(stem(scan.file.name), (scan.file,), label))


def _agree(mask: Name, scan: Name) -> bool:
    """Whether a mask may be of a scan: what both say is equal, and it says nothing more."""
    own = {key: value for key, value in mask.entities.items() if key not in _OF_LABELS}
    space = own.pop("space", None)
    same = all(scan.entities.get(key) == value for key, value in own.items())
    there = scan.entities.get("space", space)
    words = [word for word in mask.words if word.lower() not in MASKS]
    return same and space in (None, there) and all(word in scan.words for word in words)
