"""What lies in a folder that was not arranged for us: images, DICOM drawings, and the rest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from pipeline.errors import DataError
from pipeline.io import is_dicom_label, kind_of
from pipeline.io.kinds import is_dicom_file
from pipeline.manifests.cases import stem

RawLabel = Path | dict[str, Any]
"""A label as a manifest has it, with paths in place of texts."""

_WORDS: Final = (
    "mask", "masks", "label", "labels", "seg", "segmentation", "segmentations", "dseg", "gt",
    "groundtruth", "truth", "annotation", "annotations", "manual", "manual1", "1stho",
)  # fmt: skip
_ENDING: Final = re.compile(rf"(?:^|[_. -])(?:{'|'.join(_WORDS)})$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, one file a channel or a DICOM folder, and its label.

    Args:
        id: Name that no other pair has.
        images: Its files.
        label: A file, or another form: `rtstruct`, `seg`, `instances` or `masks`.
        series: UID of the series, where the folder holds several.
    """

    id: str
    images: tuple[Path, ...]
    label: RawLabel
    series: str | None = None


@dataclass(slots=True)
class Pairing:
    """What was paired, what was left alone with the reason, and what was assumed."""

    pairs: list[Pair] = field(default_factory=list)
    left: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def leave(self, path: Path, reason: str) -> None:
        """Leave a file alone."""
        self.left.append((path, reason))


@dataclass(slots=True)
class Found:
    """Readable files and DICOM folders, and RTSTRUCT and SEG files, both sorted."""

    images: list[Path] = field(default_factory=list)
    drawings: list[Path] = field(default_factory=list)


def find_images(folder: Path, result: Pairing | None = None) -> Found:
    """Return what can be read below a folder; the rest is left alone.

    Args:
        folder: Searched with its subfolders; hidden files and folders are not.
        result: Gets what is left alone; None: nobody is told.
    """
    found = Found()
    _walk(folder, found, result or Pairing())
    return found


def matching(paths: Sequence[Path], folder: Path, only: str | None) -> list[Path]:
    """Those whose name, or path below `folder`, matches a pattern as `*_T1w*`; None: all."""
    if only is None:
        return list(paths)
    return [
        path
        for path in paths
        if fnmatch(path.relative_to(folder).as_posix(), only) or fnmatch(path.name, only)
    ]


def is_named_label(path: Path) -> bool:
    """Whether a file's name says that it is a label: it is or ends in `mask`, `seg`, `gt`, ..."""
    return _ENDING.search(stem(path.name)) is not None


def bare_name(path: Path) -> str:
    """A label's stem without the ending that says so."""
    return _ENDING.sub("", stem(path.name))


def _walk(folder: Path, found: Found, result: Pairing) -> None:
    """Add what lies in a folder and below it."""
    inside = sorted(folder.iterdir())
    if kind_of(folder) == "dicom":
        files = [path for path in inside if path.is_file() and is_dicom_file(path)]
        _add_dicom(folder, files, found)
        inside = sorted(set(inside).difference(files))
    for path in inside:
        if path.name.startswith("."):
            continue
        kind = kind_of(path)
        if path.is_dir():
            _walk(path, found, result)
        elif kind is None:
            result.leave(path, "no image that is read here")
        else:
            found.images.append(path)


def _add_dicom(folder: Path, files: list[Path], found: Found) -> None:
    """Add a folder of slices, and the drawings among its DICOM files."""
    drawings = [path for path in files if _is_drawing(path)]
    found.drawings += drawings
    if len(drawings) < len(files):
        found.images.append(folder)


def _is_drawing(path: Path) -> bool:
    """Whether a file is an RTSTRUCT or SEG; a damaged one is told when its series is read."""
    try:
        return is_dicom_label(path)
    except DataError:
        return False
