"""Pairs images and labels that are called alike, in one folder or in two."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.manifests.cases import distinct_names, stem
from pipeline.manifests.found import Pair, Pairing, bare_name

CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True, slots=True)
class _Image:
    """The files of one image and the stem that its label should have."""

    key: str
    files: tuple[Path, ...]


def pair_by_name(
    images: Sequence[Path], labels: Sequence[Path], roots: tuple[Path, Path], result: Pairing
) -> None:
    """Give each image its label; where several could be meant, none is taken.

    A label is called like its image, or has an ending as `_mask`. Images that end in `_0000`,
    `_0001`, ... are channels of one case. Equal names are told apart by their subfolders.

    Args:
        images: Image files and DICOM folders.
        labels: Label files.
        roots: Folders below which both lie.
        result: Gets the pairs and what is left alone.
    """
    grouped = _channels(images)
    find = _LabelFinder(grouped, labels, roots)
    chosen: list[tuple[_Image, Path]] = []
    for image in grouped:
        label = find(image)
        if isinstance(label, Path):
            chosen.append((image, label))
        else:
            result.left += [(path, label) for path in image.files]
    taken = {label for _, label in chosen}
    for path in labels:
        if path not in taken:
            reason = "a DICOM folder among the labels" if path.is_dir() else "a label of no image"
            result.leave(path, reason)
    places = [image.files[0].parent.relative_to(roots[0].parent).parts[1:] for image, _ in chosen]
    ids = distinct_names(
        [PurePosixPath(*at, image.key) for at, (image, _) in zip(places, chosen, strict=True)]
    )
    result.pairs = [Pair(n, i.files, label) for n, (i, label) in zip(ids, chosen, strict=True)]


def divide_by_name(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Images and labels of one folder: a label is called like an image, with an ending."""
    stems = {stem(path.name) for path in files}
    stems |= {match[1] for text in stems if (match := CHANNEL.fullmatch(text))}
    labels = [
        path for path in files if bare_name(path) != stem(path.name) and bare_name(path) in stems
    ]
    return [path for path in files if path not in labels], labels


def _channels(files: Sequence[Path]) -> list[_Image]:
    """Images; files of one folder that differ in `_0000`, `_0001` only become one."""
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        match = None if path.is_dir() else CHANNEL.fullmatch(stem(path.name))
        groups[path.parent / match[1] if match else path].append(path)
    result = []
    for key, members in groups.items():
        match = CHANNEL.fullmatch(stem(members[0].name))
        if match and match[2] == "0000" and key != members[0]:
            result.append(_Image(key.name, tuple(members)))
        else:
            result += [_Image(stem(path.name), (path,)) for path in members]
    return result


class _LabelFinder:
    """Labels by name: first those called exactly like the image, then those with an ending."""

    def __init__(
        self, images: Sequence[_Image], labels: Sequence[Path], roots: tuple[Path, Path]
    ) -> None:
        self.roots = roots
        self.names = Counter(image.key for image in images)
        self.places = Counter((image.files[0].parent, image.key) for image in images)
        self.exact: dict[str, list[Path]] = defaultdict(list)
        self.ended: dict[str, list[Path]] = defaultdict(list)
        for path in labels:
            if not path.is_dir():
                self.exact[stem(path.name)].append(path)
                self.ended[bare_name(path)].append(path)

    def __call__(self, image: _Image) -> Path | str:
        """The label of an image, or the reason why it has none."""
        if self.places[image.files[0].parent, image.key] > 1:
            return "several images of that name in one folder"
        found = self.exact.get(image.key) or self.ended.get(image.key) or []
        if len(found) > 1 or self.names[image.key] > 1:
            place = image.files[0].parent.relative_to(self.roots[0])
            same = [path for path in found if path.parent.relative_to(self.roots[1]) == place]
            if found and len(same) != 1:
                return "no single label of that name in its subfolder"
            found = same
        return found[0] if found else "no label of that name"
