"""What INPUT means: a file, a DICOM folder, a folder of cases, or a manifest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import DataError, UnknownNameError
from pipeline.io import Reading, kind_of
from pipeline.manifests import load_manifest

SUFFIXES = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm")
PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class InputCase:
    """A case to predict.

    Attributes:
        id: Names its mask.
        images: Files, or a DICOM folder; several are channels.
        shown: What may be stored of the path: nothing above INPUT.
        series: Number or UID of the series of a DICOM folder.
        reading: How its files are read.
    """

    id: str
    images: tuple[Path, ...]
    shown: str
    series: str | int | None = None
    reading: Reading | None = None


def find_cases(
    given: str | Path,
    *,
    cases: str = "test",
    dataset_dir: str | None = None,
    fold: int | None = None,
    reading: Reading | None = None,
) -> list[InputCase]:
    """Return the cases of INPUT, ids unique.

    A file that says nothing of its place is refused, unless it is a manifest's: what the image
    and its label agree on is then enough.

    Args:
        given: A file, a folder, or a manifest's path or name.
        cases: Of a manifest: `train`, `val`, `test` or `all`.
        dataset_dir: Of a manifest.
        fold: Of a manifest.
        reading: How the files are read; a manifest names the series of its cases itself.

    Raises:
        DataError: Nothing is there, or no case is.
        InvalidValueError: A choice of reading that is for another kind of file.
    """
    path = Path(given)
    placed = replace(reading or Reading(), unplaced=False)
    bare = path.name == str(given) and not path.name.lower().endswith(SUFFIXES)
    if path.suffix == ".json" or (bare and not path.exists()):
        return _manifest_cases(str(given), cases, dataset_dir, fold, reading)
    if not path.exists():
        raise DataError(f"{given} does not exist", hint="give a scan, a folder or a manifest")
    if kind_of(path) is not None:
        placed.refuse_unused([kind_of(path)], given)
        return [InputCase(case_name(path), (path,), path.name, placed.series, placed)]
    if path.is_file():
        raise DataError(f"{given} is no scan and no picture", hint="give NIfTI, DICOM, PNG or JPEG")
    try:
        children = [p for p in sorted(path.iterdir()) if not p.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"{given} cannot be read ({error.strerror})", hint="check its permissions"
        ) from error
    found = [p for p in children if kind_of(p) is not None and not _is_second_file(p)]
    if not found:
        raise DataError(
            f"{given} holds no scan and no picture", hint="give a folder whose children are cases"
        )
    placed.refuse_unused([kind_of(p) for p in found], given)
    return [
        InputCase(name, (p,), p.relative_to(path).as_posix(), placed.series, placed)
        for name, p in zip(unique_names(found), found, strict=True)
    ]


def _is_second_file(path: Path) -> bool:
    """Whether it holds the voxels of an Analyze pair, whose header names the case."""
    name = path.name
    for voxels, header in ((".img", ".hdr"), (".img.gz", ".hdr.gz")):
        if name.lower().endswith(voxels):
            stem = name[: -len(voxels)]
            return any((path.parent / f"{stem}{h}").is_file() for h in (header, header.upper()))
    return False


def case_name(path: Path) -> str:
    """A file's name without its extension, or a folder's name."""
    name = path.resolve().name if path.name in ("", ".", "..") else path.name
    if path.is_dir():
        return name
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), path.suffix)
    return name[: len(name) - len(suffix)] if suffix and len(name) > len(suffix) else name


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Names of cases; equal ones get their parents' names in front until they differ.

    Files that lie beside each other and differ in their extension alone, as `a.nii.gz` and
    `a.png`, get that behind: no folder above INPUT may show in a name.
    """
    names = [case_name(p) for p in paths]
    groups: dict[str, list[Path]] = {}
    for name, path in zip(names, paths, strict=True):
        groups.setdefault(name, []).append(path)
    return [_apart(n, p, groups[n]) for n, p in zip(names, paths, strict=True)]


def _apart(name: str, path: Path, alike: Sequence[Path]) -> str:
    """A case's name among others that are called the same."""
    folders = {p.parent for p in alike}
    if len(folders) > 1:
        depth = 1
        while len({f.parts[-depth:] for f in folders}) < len(folders):
            depth += 1
        name = "__".join((*path.parent.parts[-depth:], name))
    if sum(p.parent == path.parent for p in alike) > 1:
        name = f"{name}__{'dicom' if path.is_dir() else path.suffix.strip('.')}"
    return name


def _manifest_cases(
    name: str, cases: str, dataset_dir: str | None, fold: int | None, reading: Reading | None
) -> list[InputCase]:
    """Cases of a manifest."""
    if cases not in (*PARTS, "all"):
        raise UnknownNameError(f"cases is {cases!r}", hint="use train, val, test or all")
    manifest = load_manifest(name, dataset_dir)
    found = list(manifest.cases) if cases == "all" else manifest.part(cases, fold)  # type: ignore[arg-type]
    if not found:
        raise DataError(f"{manifest.name} has no {cases} case", hint="choose others with --cases")
    return [InputCase(c.id, c.images, c.id, c.series, reading) for c in found]
