"""Pairs DICOM series with the RTSTRUCT or SEG that was drawn on them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pipeline.errors import DataError
from pipeline.io import kind_of
from pipeline.io.dicom.described import Description, describe_drawing, series_uids
from pipeline.manifests.cases import distinct_names
from pipeline.manifests.found import Pair, Pairing

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A file and what it says of itself."""

    file: Path
    facts: Description


def pair_drawings(
    images: Sequence[Path], drawings: Sequence[Path], root: Path, result: Pairing
) -> None:
    """Give each DICOM folder the drawing that names its series, else the only one beside it.

    "Beside" is the smallest folder below `root` that holds both and no other series or drawing.

    Args:
        images: Folders of slices; other files are left alone.
        drawings: RTSTRUCT and SEG files.
        root: Folder below which the images lie.
        result: Gets the pairs and what is left alone.
    """
    folders = [path for path in images if path.is_dir()]
    for path in images:
        if path not in folders:
            result.leave(path, "no DICOM series, as the others with drawings are")
    series = _readable(folders, series_uids, result)
    described = _readable(drawings, describe_drawing, result)
    read = [_Drawing(file, facts) for file, facts in described.items() if facts is not None]
    chosen: dict[Path, tuple[_Drawing, str | None]] = {}
    taken: Counter[Path] = Counter()
    for folder in series:
        own = [one for one in read if one.facts.series & series[folder]]
        own = own or _beside(folder, list(series), read, root)
        if len(own) != 1:
            what = (
                f"{len(own)} drawings that name its series" if own else "no RTSTRUCT or SEG of it"
            )
            result.leave(folder, what)
            continue
        named = own[0].facts.series & series[folder]
        several = len(series[folder]) > 1 and len(named) == 1
        chosen[folder] = own[0], next(iter(named)) if several else None
        taken[own[0].file] += 1
    for drawing in read:
        if not taken[drawing.file]:
            result.leave(drawing.file, "drawn on no series that is here")
    ids = distinct_names(_short_places(list(chosen), root))
    for name, (folder, (drawing, uid)) in zip(ids, chosen.items(), strict=True):
        result.pairs.append(Pair(name, (folder,), {drawing.facts.kind: drawing.file}, series=uid))


def _readable(
    paths: Sequence[Path], read: Callable[[Path], Read], result: Pairing
) -> dict[Path, Read]:
    """What can be read of `paths`; damaged ones are left alone."""
    found = {}
    for path in paths:
        try:
            found[path] = read(path)
        except DataError as error:
            result.leave(path, error.line())
    return found


def _beside(
    folder: Path, folders: Sequence[Path], read: Sequence[_Drawing], root: Path
) -> list[_Drawing]:
    """The drawing in the smallest folder around a series, if it is alone there with it."""
    for around in (folder, *folder.parents):
        here = [one for one in read if one.file.is_relative_to(around)]
        if here:
            alone = sum(other.is_relative_to(around) for other in folders) == 1
            return here if alone and len(here) == 1 else []
        if around == root:
            break
    return []


def _short_places(folders: Sequence[Path], root: Path) -> list[PurePosixPath]:
    """Places below `root`, without the last parts that all have, as `CT/image`."""
    places = [folder.relative_to(root.parent).parts[1:] or (root.name,) for folder in folders]
    while len({place[-1] for place in places}) == 1 and all(len(place) > 1 for place in places):
        places = [place[:-1] for place in places]
    return [PurePosixPath(*place) for place in places]


def is_drawn(images: Sequence[Path], drawings: Sequence[Path]) -> bool:
    """Whether the labels are drawings: there are some, and series to draw on."""
    return bool(drawings) and any(path.is_dir() and kind_of(path) == "dicom" for path in images)
