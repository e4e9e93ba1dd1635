"""Cases out of a manifest's JSON: ids, paths and patients, listed or by pattern."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import DataError
from pipeline.manifests.drawn import Scheme
from pipeline.manifests.label import Label
from pipeline.manifests.layout import LISTS
from pipeline.manifests.manifest import Case, Part
from pipeline.manifests.patient import read_patient_rule
from pipeline.manifests.place import Roots

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp")
_EXTENSIONS = (".nii.gz", ".nii", ".hdr", ".img", ".dcm", *PICTURES)


def stem(name: str) -> str:
    """A file's name without its extension; `.nii.gz` counts as one, a folder's name stays."""
    lower = name.lower()
    for extension in _EXTENSIONS:
        if lower.endswith(extension) and len(name) > len(extension):
            return name[: -len(extension)]
    return name


def distinct_names(paths: list[PurePosixPath]) -> list[str]:
    """Stems of `paths`; equal ones get their parents' names, joined by `__`, until they differ."""
    depth = [1] * len(paths)
    while True:
        found = [_joined(path, n) for path, n in zip(paths, depth, strict=True)]
        count = Counter(found)
        again = [n for n, name in enumerate(found) if count[name] > 1]
        again = [n for n in again if depth[n] < len(paths[n].parts)]
        if not again:
            return found
        for n in again:
            depth[n] += 1


def read_cases(raw: dict[str, Any], path: Path, roots: Roots) -> list[Case]:
    """All cases of a manifest that fits the schema, in declared order.

    Raises:
        DataError: No case, a pattern that matches nothing, ids that are not distinct, or
            structures that do not fit the labels.
    """
    entries = [entry for key in LISTS for entry in _listed(raw.get(key, ()), LISTS[key])]
    scheme = Scheme(raw.get("labels", {}), path, raw.get("colours"))
    cases = []
    given = raw.get("cases", ())
    for item in [given] if isinstance(given, dict) else given:
        if "images" in item:
            cases += _matched(item, path, roots, scheme)
        else:
            entries.append(_Entry(item, item.get("split")))
    cases = _build_cases(entries, path, roots, scheme) + cases
    if not cases:
        raise DataError(f"manifest {path} has no cases", hint="list some in `training` or `cases`")
    twice = [case_id for case_id, n in Counter(case.id for case in cases).items() if n > 1]
    if twice:
        raise DataError(
            f'manifest {path}: {len(twice)} ids are used more than once, the first is "{twice[0]}"',
            hint="give each case its own id",
        )
    return cases


def fold_numbers(raw: dict[str, Any], cases: list[Case]) -> dict[str, int]:
    """Id to fold of those listed cases that carry a `fold`."""
    entries = [e for key in LISTS for e in raw.get(key, ())]
    given = raw.get("cases", ())
    entries += [e for e in ([] if isinstance(given, dict) else given) if "images" not in e]
    numbers = [e.get("fold") if isinstance(e, dict) else None for e in entries]
    return {c.id: n for c, n in zip(cases, numbers, strict=False) if n is not None}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A listed case and the part that its list stands for."""

    raw: dict[str, Any]
    part: Part | None


def _listed(items: Any, part: Any) -> list[_Entry]:
    """The entries of one list; MSD lists its test images as bare names."""
    objects = [{"image": item} if isinstance(item, str) else item for item in items]
    return [_Entry(item, item.get("split", part)) for item in objects]


def _build_cases(entries: list[_Entry], path: Path, roots: Roots, scheme: Scheme) -> list[Case]:
    """Listed cases; ids that are not given come from the images' names."""
    unnamed = [n for n, entry in enumerate(entries) if "id" not in entry.raw]
    derived = distinct_names([PurePosixPath(_first_image(entries[n].raw)) for n in unnamed])
    ids = dict(zip(unnamed, derived, strict=True))
    for case_id in derived:
        if case_id.startswith(".") or "/" in case_id or "\\" in case_id:
            raise DataError(
                f'manifest {path}: no id can be made from the image "{case_id}"',
                hint='give the case an "id"',
            )
    result = []
    for n, entry in enumerate(entries):
        case_id = ids.get(n) or entry.raw["id"]
        image = entry.raw["image"]
        folder = (image.get("dicom") or image["picture"]) if isinstance(image, dict) else image
        found = [roots.find(text) for text in ([folder] if isinstance(folder, str) else folder)]
        series = image.get("series", image.get("page")) if isinstance(image, dict) else None
        result.append(
            Case(
                id=case_id,
                image=found[0] if len(found) == 1 else tuple(found),
                label=_label(entry.raw.get("label"), roots.find, found[0], series, scheme),
                patient=entry.raw.get("patient", case_id),
                part=entry.part,
                series=series,
            )
        )
    return result


def _label(
    raw: Any,
    find: Callable[[str], Path],
    image: Path,
    series: str | int | None,
    scheme: Scheme,
) -> Label | None:
    """A label in any of its forms, or the structures that are drawn on an image."""
    if isinstance(raw, dict) and ("rtstruct" in raw or "seg" in raw):
        return scheme.drawn(raw, find, image, series)
    return scheme.composition.label(raw, find) if raw else None


def _matched(pattern: dict[str, Any], path: Path, roots: Roots, scheme: Scheme) -> list[Case]:
    """Cases of the files that a pattern matches, sorted by path."""
    images = pattern["images"] if isinstance(pattern["images"], list) else [pattern["images"]]
    root, found = roots.glob(images[0].replace("{id}", "*"))
    if not found:
        raise DataError(
            f"manifest {path}: no file matches {images[0]} in {roots}",
            hint="set UNETWORKS_DATA to the folder of data sets, or give dataset_dir",
        )
    rule = read_patient_rule(pattern.get("patient"), path)
    cases = []
    for file in found:
        case_id = _id_of(file.relative_to(root).as_posix(), images[0])

        def find(text: str, case_id: str = case_id) -> Path:
            return root / text.replace("{id}", case_id)

        others = [find(text) for text in images[1:]]
        cases.append(
            Case(
                id=case_id,
                image=(file, *others) if others else file,
                label=_label(pattern.get("labels"), find, file, None, scheme),
                patient=rule(case_id),
                part=pattern.get("split"),
            )
        )
    return cases


def _id_of(relative: str, pattern: str) -> str:
    """What `{id}` stands for in a matched path; without `{id}` the file's stem."""
    if "{id}" not in pattern:
        return stem(PurePosixPath(relative).name)
    before, _, after = pattern.lstrip("/").partition("{id}")
    wild = [re.escape(text).replace(r"\*", "[^/]*") for text in (before, after)]
    match = re.fullmatch(f"{wild[0]}([^/]+){wild[1]}", relative)
    return match[1] if match else stem(PurePosixPath(relative).name)


def _first_image(raw: dict[str, Any]) -> str:
    """The path that names a case; a number for the channel is left out."""
    image = raw["image"]
    if isinstance(image, dict):
        return str(image.get("dicom") or image["picture"])
    if isinstance(image, str):
        return image
    return re.sub(r"_\d{4}(?=\.)", "", image[0])


def _joined(path: PurePosixPath, depth: int) -> str:
    """The last `depth` parts of a path, the extension left out."""
    parts = [part for part in path.parts if part not in ("/", "..", ".")]
    return "__".join([*parts[-depth:-1], stem(parts[-1])]) if parts else str(path)
