"""Reads a manifest by name or path and checks all that can be checked without its images."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pipeline.errors import DataError, UnknownNameError
from pipeline.manifests.cases import PICTURES, fold_numbers, read_cases
from pipeline.manifests.layout import read_layout
from pipeline.manifests.manifest import PARTS, Case, Fold, Head, Manifest
from pipeline.manifests.modality import canonical_modality
from pipeline.manifests.place import SCHEMA, Roots, find_manifest, manifests_dir, names, roots_of
from pipeline.manifests.schema import check_schema, read_json
from pipeline.manifests.splits import (
    assign_parts,
    build_folds,
    check_labelled,
    check_patients,
    folds_of_cases,
)

# A generator returns the folder of its data set and writes it first where it is not there.
GENERATORS: Final = {"phantom": "pipeline.phantom:ensure"}


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One line of the list of manifests; `place` is None where the data are not on this machine."""

    name: str
    modality: str
    dims: str
    cases: int | None
    labels: tuple[str, ...]
    licence: str
    place: str | None
    problem: str | None = None


def load_manifest(name_or_path: str | Path, dataset_dir: str | Path | None = None) -> Manifest:
    """Read a manifest, resolve its paths and check what it says; images are not opened.

    Args:
        name_or_path: A name of `data_manifests/`, the path of a JSON file, or a folder that has
            MSD's `dataset.json`.
        dataset_dir: First folder in which relative paths are looked for; then come the
            manifest's own folder and `UNETWORKS_DATA/NAME`.

    Raises:
        UnknownNameError: No manifest, modality or generator of that name.
        DataError: The file is missing or empty, does not fit the schema, names a case or an
            integer twice, divides a patient, or has a case without label that trains.
    """
    return _load(find_manifest(name_or_path), dataset_dir, generate=True)


def list_manifests() -> list[ManifestRow]:
    """A row for each manifest that comes with the program; nothing is generated or opened."""
    return [_row(manifests_dir() / f"{name}.json") for name in names()]


def _load(path: Path, dataset_dir: str | Path | None, *, generate: bool) -> Manifest:
    """The manifest of a file; `generate` writes a generated set that is not there yet."""
    raw = read_layout(path)
    check_schema(raw, path, manifests_dir() / SCHEMA)
    name = raw.get("name") or (path.parent.name if path.name == "dataset.json" else path.stem)
    given = Path(dataset_dir).expanduser().absolute() if dataset_dir else None
    if given and not given.is_dir():
        raise DataError(f"dataset_dir {given} is no folder", hint="give the folder of the data")
    generated = None
    if "generator" in raw and given is None and generate:
        generated = _generate(raw["generator"], path)
    roots = roots_of(path, name, given, generated)
    labels, regions, head = _read_labels(raw, path)
    window = raw.get("window")
    cases, folds = _divide(raw, read_cases(raw, path, roots), path, roots)
    return Manifest(
        name=name,
        path=path,
        modality=_modality(raw["modality"], path),
        labels=labels,
        regions=regions,
        head=head,
        cases=tuple(cases),
        folds=folds,
        roots=roots.folders,
        window=tuple(window) if isinstance(window, list) else window,
        spatial_dims=2 if cases[0].images[0].suffix.lower() in PICTURES else 3,
        description=raw.get("description", ""),
        licence=raw.get("licence", ""),
        citation=_text(raw.get("citation", "")),
        url=raw.get("url"),
        checksum=raw.get("checksum"),
    )


def _generate(name: str, path: Path) -> Path:
    """The folder of a generated set."""
    if name not in GENERATORS:
        raise UnknownNameError(
            f'manifest {path}: unknown generator "{name}"',
            hint=f"there is {', '.join(GENERATORS)}",
        )
    module, _, attribute = GENERATORS[name].partition(":")
    folder: Path = getattr(import_module(module), attribute)()
    return folder


def _read_labels(
    raw: dict[str, Any], path: Path
) -> tuple[dict[str, int], dict[str, tuple[int, ...]] | None, Head]:
    """Labels without background, regions, and the head that fits them."""
    labels: dict[str, int] = {}
    for name, integer in raw.get("labels", {}).items():
        if integer in labels.values():
            other = next(key for key, value in labels.items() if value == integer)
            raise DataError(
                f'manifest {path}: labels "{other}" and "{name}" have the same integer {integer}',
                hint="give each label its own; for overlapping structures use `regions`",
            )
        if integer == 0 and name.lower() != "background":
            raise DataError(
                f'manifest {path}: label "{name}" has the integer 0, which is background',
                hint="labels count from 1",
            )
        labels[name] = integer
    labels = {name: integer for name, integer in labels.items() if integer}
    given = raw.get("regions")
    regions = {name: tuple(values) for name, values in given.items()} if given else None
    if not labels and not regions:
        raise DataError(f"manifest {path} names only background", hint="name a label")
    return labels, regions, _read_head(raw.get("head"), labels, regions, path)


def _read_head(
    given: Head | None,
    labels: dict[str, int],
    regions: dict[str, tuple[int, ...]] | None,
    path: Path,
) -> Head:
    """The head that was asked for, if it can hold what is segmented; else the usual one."""
    head: Head = given or ("sigmoid" if regions else "softmax")
    if regions and head == "softmax":
        raise DataError(
            f"manifest {path}: regions may overlap, which a softmax head cannot hold",
            hint='write "head": "sigmoid", or use `labels`',
        )
    if not regions and head == "sigmoid" and len(labels) > 1:
        raise DataError(
            f"manifest {path}: a sigmoid head over {len(labels)} labels that exclude each other",
            hint='write "head": "softmax", or use `regions`',
        )
    return head


def _divide(
    raw: dict[str, Any], cases: list[Case], path: Path, roots: Roots
) -> tuple[list[Case], tuple[Fold, ...]]:
    """Cases with their part, and the folds; from the manifest and from its splits file."""
    split, folds = raw.get("split", {}), raw.get("folds")
    if "splits_file" in raw:
        split, folds = _read_splits(raw, roots.find(raw["splits_file"]))
    if split:
        cases = assign_parts(cases, split, path)
    parts = [case.part for case in cases]
    if None in parts and any(parts):
        case = cases[parts.index(None)]
        raise DataError(
            f'manifest {path}: case "{case.id}" is in no part, others are',
            hint="say of each case whether it is train, val or test",
        )
    check_patients(cases, path)
    check_labelled(cases, path)
    if folds:
        return cases, build_folds(cases, folds, path)
    return cases, folds_of_cases(cases, fold_numbers(raw, cases), path)


def _read_splits(raw: dict[str, Any], file: Path) -> tuple[dict[str, list[str]], list[Any] | None]:
    """Parts and folds of a splits file; what the manifest itself says comes first."""
    there = read_json(file)
    there = {"folds": there} if isinstance(there, list) else there
    if not isinstance(there, dict):
        raise DataError(f"{file} is no JSON object", hint="write one with train, test or folds")
    split = {part: there[part] for part in PARTS if part in there} | raw.get("split", {})
    folds = raw.get("folds") or there.get("folds")
    whole = {**raw, **({"split": split} if split else {}), **({"folds": folds} if folds else {})}
    check_schema(whole, file, manifests_dir() / SCHEMA)
    return split, folds


def _modality(raw: str | list[str], path: Path) -> str | tuple[str, ...]:
    """The modality in the planner's spelling; one word for a list of one."""
    if isinstance(raw, str):
        return canonical_modality(raw, path)
    found = tuple(canonical_modality(name, path) for name in raw)
    return found if len(found) > 1 else found[0]


def _text(raw: str | list[str]) -> str:
    """One text of one or several."""
    return raw if isinstance(raw, str) else " ".join(raw)


def _row(path: Path) -> ManifestRow:
    """The row of one manifest; what is wrong with it stands in `problem`."""
    raw = read_layout(path)
    check_schema(raw, path, manifests_dir() / SCHEMA)
    modality = raw["modality"]
    named = {name: value for name, value in raw.get("labels", {}).items() if value}
    cases, place, problem = None, None, None
    try:
        manifest = _load(path, None, generate=False)
        cases = len(manifest.cases)
        image = manifest.cases[0].images[0]
        root = next((folder for folder in manifest.roots if image.is_relative_to(folder)), None)
        place = str(root or image.parent) if image.exists() else None
    except DataError as error:
        problem = error.line() if any(f.is_dir() for f in _data_folders(raw, path)) else None
    return ManifestRow(
        name=raw.get("name", path.stem),
        modality=modality if isinstance(modality, str) else "+".join(modality),
        dims="2D" if _is_pictures(raw) else "3D",
        cases=cases,
        labels=tuple(raw.get("regions") or named),
        licence=raw.get("licence", ""),
        place="generated on first use" if "generator" in raw and place is None else place,
        problem=problem,
    )


def _data_folders(raw: dict[str, Any], path: Path) -> list[Path]:
    """Where the data of a manifest would lie, its own folder left out."""
    roots = roots_of(path, raw.get("name", path.stem))
    return [folder for folder in roots.folders if folder != path.parent.absolute()]


def _is_pictures(raw: dict[str, Any]) -> bool:
    """Whether a manifest's first image, or its pattern, names a picture."""
    lists = [raw.get("cases"), raw.get("training"), raw.get("testing"), raw.get("test")]
    first: Any = next(items for items in lists if items)
    while isinstance(first, list | dict):
        if isinstance(first, list):
            first = first[0]
        else:
            keys = ("images", "image", "dicom", "picture")
            first = next(first[key] for key in keys if first.get(key))
    return str(first).lower().endswith(PICTURES)
