"""Pairs images and labels where each case has a folder of its own."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.io import kind_of
from pipeline.manifests.cases import distinct_names, stem
from pipeline.manifests.found import (
    Pair,
    Pairing,
    RawLabel,
    bare_name,
    find_images,
    is_named_label,
    matching,
)

OBJECTS: Final = "masks"  # beside `images`: one mask an object
STRUCTURES: Final = ("segmentations", "masks", "labels", "structures", "segments", "rois")


@dataclass(frozen=True, slots=True)
class _Case:
    """A folder that is a case; `roles` are its images' names without what names the case."""

    folder: Path
    images: tuple[Path, ...]
    roles: tuple[str, ...]
    label: RawLabel


def pair_case_folders(root: Path, result: Pairing, only: str | None = None) -> bool:
    """Add a pair for each folder below `root` that is a case; False, and nothing, if none is.

    A case is a folder with images and one label called `mask`, `seg`, ... or ending so; with
    `images` and a folder `masks` of one mask an object; or with a folder `segmentations` of one
    mask a structure. Several images of a case are its channels, where all cases have the same.

    Args:
        root: Folder of the cases.
        result: Gets the pairs and what is left alone.
        only: Pattern that images must match.
    """
    cases, others = _cases(root, only)
    if len(cases) <= len(others):
        return False
    roles = Counter(case.roles for case in cases).most_common(1)[0][0]
    kept = []
    for case in cases:
        if case.roles == roles or len(case.roles) == len(roles) == 1:
            kept.append(case)
            continue
        reason = f"has the images {', '.join(case.roles)}, others have {', '.join(roles)}"
        result.leave(case.folder, reason)
    for folder in others:
        result.leave(folder, "a folder without one label that is called so")
    if len(roles) > 1:
        result.notes.append(
            f"each case has {len(roles)} images, taken as channels in this order: "
            f"{', '.join(roles)}; choose with --only"
        )
    ids = distinct_names([PurePosixPath(case.folder.relative_to(root)) for case in kept])
    result.pairs = [Pair(n, c.images, c.label) for n, c in zip(ids, kept, strict=True)]
    return True


def _cases(folder: Path, only: str | None) -> tuple[list[_Case], list[Path]]:
    """Cases below a folder, and folders at the same depth that are none."""
    cases: list[_Case] = []
    others: list[Path] = []
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith("."):
            continue
        case = _case(path, only)
        if case is not None:
            cases.append(case)
            continue
        below, without = _cases(path, only) if kind_of(path) is None else ([], [])
        cases += below
        others += without if below else [path] if find_images(path).images else []
    return cases, others


def _case(folder: Path, only: str | None) -> _Case | None:
    """The case of a folder, if it is one."""
    found = find_images(folder).images
    for reading in (_objects, _structures, _files):
        read = reading(folder, found)
        if read is None:
            continue
        images, label = matching(read[0], folder, only), read[1]
        if images:
            roles = [_role(path, folder) for path in images]
            return _Case(folder, tuple(images), tuple(roles), label)
    return None


def _objects(folder: Path, found: list[Path]) -> tuple[list[Path], RawLabel] | None:
    """One image in `images`, masks of single objects in `masks`."""
    images = [path for path in found if path.parent == folder / "images"]
    masks = [path for path in found if path.parent == folder / OBJECTS]
    if len(images) != 1 or not masks or len(found) != len(masks) + 1:
        return None
    return images, {"instances": folder / OBJECTS}


def _structures(folder: Path, found: list[Path]) -> tuple[list[Path], RawLabel] | None:
    """Images, and a folder of one mask a structure; or several masks called by structure."""
    inside = [path for path in found if path.parent != folder]
    if inside and all(path.parent.name.lower() in STRUCTURES for path in inside):
        images = [path for path in found if path.parent == folder]
        names = [stem(path.name) for path in inside]
        if images and len(inside) > 1 and len(set(names)) == len(names):
            return images, {"masks": dict(zip(names, inside, strict=True))}
    masks = [path for path in found if is_named_label(path)]
    names = [_role_of_mask(path, folder) for path in masks]
    images = [path for path in found if path not in masks]
    of_images = {stem(path.name) for path in images}
    if len(masks) < 2 or not images or not all(names) or len(set(names)) < len(names):
        return None
    if any(bare_name(path) in of_images for path in masks):
        return None  # several cases in one folder, each mask beside its image
    return images, {"masks": dict(zip(names, masks, strict=True))}


def _files(folder: Path, found: list[Path]) -> tuple[list[Path], RawLabel] | None:
    """Images and the one label."""
    labels = [path for path in found if is_named_label(path) and path.is_file()]
    if not labels:  # the folder may say it instead: image/a.png, label/a.png
        labels = [path for path in found if path.parent.name.lower() in (*STRUCTURES, "label")]
    if len(labels) != 1:
        return None
    return [path for path in found if path not in labels], labels[0]


def _role(path: Path, folder: Path) -> str:
    """An image's name without that of its case, which it may begin with."""
    name = path.name if path.is_dir() else stem(path.name)
    role = name.removeprefix(folder.name).lstrip("_-. ")
    return "image" if not role or path.parent.name == "images" else role


def _role_of_mask(path: Path, folder: Path) -> str:
    """The structure of a mask, as `liver` of `case_1_liver_mask`."""
    return bare_name(path).removeprefix(folder.name).strip("_-. ")
