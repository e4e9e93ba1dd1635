"""Finds which label belongs to which image in a folder that was not arranged for us."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError
from pipeline.io import kind_of
from pipeline.manifests.cases import distinct_names, stem

_CHANNEL = re.compile(r"(.+)_(\d{4})")
_LABEL_ENDING = re.compile(r"[_-](mask|masks|label|labels|seg|segmentation|gt)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, one file a channel or a DICOM folder, and its label."""

    id: str
    images: tuple[Path, ...]
    label: Path


@dataclass(slots=True)
class Pairing:
    """What was paired, and what was left alone with the reason."""

    pairs: list[Pair] = field(default_factory=list)
    left: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Image:
    """The files of one image and the stem that its label should have."""

    key: str
    files: tuple[Path, ...]


def pair_files(images: Path, labels: Path | None = None) -> Pairing:
    """Pair images and labels by their names' stems.

    A label may end in `_mask`, `_label`, `_seg` or `_gt`; images that end in `_0000`, `_0001`
    are channels of one case; a folder that holds DICOM files is one image; a folder with
    `imagesTr` and `labelsTr` needs no second one. Subfolders are searched.

    Args:
        images: Folder of the images, or of both.
        labels: Folder of the labels; None: they lie with the images.

    Raises:
        DataError: A folder is missing, holds nothing that is read, or nothing fits.
    """
    for folder in (images, labels):
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder} is no folder", hint="give the folder of the images")
    if labels is None and (images / "imagesTr").is_dir() and (images / "labelsTr").is_dir():
        images, labels = images / "imagesTr", images / "labelsTr"
    result = Pairing()
    if labels is None:
        image_files, label_files = _divide(_walk(images, result))
        label_root = images
    else:
        label_files = _walk(labels, result)
        inside = labels.resolve()
        image_files = [p for p in _walk(images, result) if not p.resolve().is_relative_to(inside)]
        label_root = labels
    if not image_files:
        raise DataError(
            f"no image in {images}",
            hint="images are .nii.gz, .nii, PNG, JPEG, TIFF or DICOM folders",
        )
    _match(_channels(image_files), label_files, result, (images, label_root))
    if not result.pairs:
        raise DataError(
            f"none of {len(image_files)} images in {images} has a label"
            + (f" in {labels}" if labels else " beside it"),
            hint="give the folder of the labels second; a label has the name of its image",
        )
    return result


def _walk(folder: Path, result: Pairing) -> list[Path]:
    """Readable files and DICOM folders below `folder`, sorted; the rest is left alone."""
    found: list[Path] = []
    if kind_of(folder) == "dicom":
        return [folder]
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        kind = kind_of(path)
        if path.is_dir() and kind is None:
            found += _walk(path, result)
        elif kind is None:
            result.left.append((path, "no image that is read here"))
        elif kind == "dicom" and path.is_file():
            result.left.append((path, "a single DICOM file; a series is given by its folder"))
        else:
            found.append(path)
    return found


def _divide(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Images and labels of one folder: a label is called like an image, with an ending."""
    stems = {stem(path.name) for path in files}
    stems |= {match[1] for text in stems if (match := _CHANNEL.fullmatch(text))}
    labels = [path for path in files if _bare(path) != stem(path.name) and _bare(path) in stems]
    return [path for path in files if path not in labels], labels


def _bare(path: Path) -> str:
    """A label's stem without the ending that says so."""
    return _LABEL_ENDING.sub("", stem(path.name))


def _channels(files: list[Path]) -> list[_Image]:
    """Images; files of one folder that differ in `_0000`, `_0001` only become one."""
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        match = None if path.is_dir() else _CHANNEL.fullmatch(stem(path.name))
        groups[path.parent / match[1] if match else path].append(path)
    result = []
    for key, members in groups.items():
        match = _CHANNEL.fullmatch(stem(members[0].name))
        if match and match[2] == "0000" and key != members[0]:
            result.append(_Image(key.name, tuple(members)))
        else:
            result += [_Image(stem(path.name), (path,)) for path in members]
    return result


def _match(
    images: list[_Image], labels: list[Path], result: Pairing, roots: tuple[Path, Path]
) -> None:
    """Give each image its label; where several could be meant, none is taken."""
    find = _LabelFinder(images, labels, roots)
    chosen: list[tuple[_Image, Path]] = []
    for image in images:
        label = find(image)
        if isinstance(label, Path):
            chosen.append((image, label))
        else:
            result.left += [(path, label) for path in image.files]
    taken = {label for _, label in chosen}
    for path in labels:
        if path not in taken:
            reason = "a DICOM folder among the labels" if path.is_dir() else "a label of no image"
            result.left.append((path, reason))
    places = [image.files[0].parent.relative_to(roots[0].parent).parts[1:] for image, _ in chosen]
    ids = distinct_names(
        [PurePosixPath(*at, image.key) for at, (image, _) in zip(places, chosen, strict=True)]
    )
    result.pairs = [Pair(n, i.files, label) for n, (i, label) in zip(ids, chosen, strict=True)]


class _LabelFinder:
    """Labels by name: first those called exactly like the image, then those with an ending."""

    def __init__(self, images: list[_Image], labels: list[Path], roots: tuple[Path, Path]) -> None:
        self.roots = roots
        self.names = Counter(image.key for image in images)
        self.places = Counter((image.files[0].parent, image.key) for image in images)
        self.exact: dict[str, list[Path]] = defaultdict(list)
        self.ended: dict[str, list[Path]] = defaultdict(list)
        for path in labels:
            if not path.is_dir():
                self.exact[stem(path.name)].append(path)
                self.ended[_bare(path)].append(path)

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
