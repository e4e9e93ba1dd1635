"""Writes a drafted manifest: its cases in their parts or folds, paths below it relative."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pipeline.errors import InvalidValueError
from pipeline.io import atomic_path
from pipeline.manifests.dealing import deal_folds, deal_parts
from pipeline.manifests.found import RawLabel
from pipeline.manifests.manifest import Case

LISTS: Final = {"training": "train", "validation": "val", "testing": "test"}


def refuse_existing(path: Path, *, force: bool) -> None:
    """Refuse to overwrite, before any work is done.

    Raises:
        InvalidValueError: The file is there and `force` is not.
    """
    if path.exists() and not force:
        raise InvalidValueError(f"{path} exists", hint="choose another name, or give --force")


def write_manifest(content: dict[str, Any], path: Path, *, force: bool = False) -> None:
    """Write a manifest, whole or not at all.

    Raises:
        InvalidValueError: The file is there and `force` is not.
        DataError: The folder cannot be written.
    """
    refuse_existing(path, force=force)
    with atomic_path(path) as draft:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        draft.write_text(text + "\n", encoding="utf-8")


def divided(
    cases: Sequence[Case],
    raw: Mapping[str, RawLabel],
    present: Mapping[str, Collection[int]],
    folder: Path,
    folds: int | None,
    seed: int,
    notes: list[str],
) -> dict[str, Any]:
    """The lists of cases as JSON, and the folds where they were asked for.

    Args:
        cases: All of them.
        raw: The label of each, in the manifest's form.
        present: Integers that occur in each: patients are dealt so that all parts have them.
        folder: Where the manifest lies.
        folds: Number of folds; None: parts train, val and test.
        seed: Draws the parts or the folds.
        notes: Gets a line that says how many cases are where.

    Raises:
        InvalidValueError: More folds than patients.
    """
    labels = {case: {str(integer) for integer in found} for case, found in present.items()}
    if folds is not None:
        held_out = deal_folds(cases, folds, seed, labels)
        notes.append(f"{folds} folds hold out {', '.join(str(len(ids)) for ids in held_out)} cases")
        entries = [_entry(case, raw[case.id], folder) for case in cases]
        return {"training": entries, "folds": [{"val": ids} for ids in held_out]}
    parts = deal_parts(cases, seed, labels)
    placed = [replace(case, part=parts[case.id]) for case in cases]
    found = {
        key: [_entry(case, raw[case.id], folder) for case in placed if case.part == part]
        for key, part in LISTS.items()
    }
    counted = Counter(parts.values())
    notes.append(
        f"{counted['train']} cases train, {counted['val']} choose the weights (val), "
        f"{counted['test']} are only reported (test)"
    )
    if not counted["test"]:
        notes.append("there is one patient only, so nothing can be held out")
    return {key: entries for key, entries in found.items() if entries}


def _entry(case: Case, label: RawLabel, folder: Path) -> dict[str, Any]:
    """A case as JSON."""
    images = as_json(case.images if len(case.images) > 1 else case.images[0], folder)
    if case.series is not None:
        images = {"dicom": images, "series": case.series}
    return {
        "id": case.id,
        "image": images,
        "label": as_json(label, folder),
        "patient": case.patient,
    }


def as_json(value: Any, folder: Path | None = None) -> Any:
    """A value as JSON; its paths below `folder`, if one is given, relative to it."""
    if isinstance(value, Path):
        inside = folder is not None and value.is_relative_to(folder)
        return (value.relative_to(folder) if folder and inside else value).as_posix()
    if isinstance(value, Mapping):
        return {key: as_json(part, folder) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(part, folder) for part in value]
    return value
