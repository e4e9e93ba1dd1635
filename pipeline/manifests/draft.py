"""Writes a manifest for one's own files: integers read, the modality guessed, patients divided."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError, InvalidValueError
from pipeline.io import atomic_path, kind_of, read_header, read_label
from pipeline.manifests.catalog import load_manifest
from pipeline.manifests.dealing import deal_folds, deal_parts
from pipeline.manifests.manifest import Case
from pipeline.manifests.modality import canonical_modality, guess_modality
from pipeline.manifests.pairing import Pair, Pairing, pair_files
from pipeline.manifests.patient import PatientRule
from pipeline.manifests.place import SCHEMA, manifests_dir
from pipeline.manifests.schema import check_schema, read_json
from pipeline.progress import progress

MOST_LABELS = 200  # more integers than this are numbered objects, not classes
SUBJECT = r"(sub-[A-Za-z0-9]+)"  # BIDS


@dataclass(slots=True)
class Draft:
    """A manifest to be written, and what its author should know.

    Args:
        content: The JSON.
        cases: Its cases.
        left: Files that are not in it, with the reason.
        notes: What was guessed or assumed, one line each.
    """

    content: dict[str, Any]
    cases: list[Case]
    left: list[tuple[Path, str]]
    notes: list[str] = field(default_factory=list)


def draft_manifest(
    images: Path,
    labels: Path | None,
    output: Path,
    *,
    name: str | None = None,
    modality: str | None = None,
    patient: str | None = None,
    folds: int | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> Draft:
    """Pair images and labels, read the labels, and divide the patients.

    Args:
        images: Folder of the images, or of both.
        labels: Folder of the labels; None: they lie with the images.
        output: Where the manifest will lie; paths below that folder are written relative to it.
        name: Name of the set; None: that of `output`.
        modality: None: guessed from header and intensities.
        patient: Regular expression with one group over the id; None: BIDS subjects, else every
            case is its own patient.
        folds: Number of folds; None: parts train, val and test.
        seed: Draws the parts or the folds.
        quiet: No progress bar.

    Raises:
        DataError: Nothing fits, no label can be read, or labels are numbered objects.
        InvalidValueError: More folds than patients.
    """
    pairing = pair_files(images.absolute(), labels.absolute() if labels else None)
    values = _read_values(pairing, quiet=quiet)
    notes: list[str] = []
    rule = _patient_rule(pairing.pairs, patient, output, notes)
    cases = [
        Case(p.id, p.images if len(p.images) > 1 else p.images[0], p.label, rule(p.id))
        for p in pairing.pairs
    ]
    content: dict[str, Any] = {
        "name": name or re.sub(r"[^A-Za-z0-9_.-]+", "_", output.stem).lstrip("_.-") or "own",
        "modality": _modality(modality, pairing.pairs, output, notes),
        "labels": {f"label_{value}": value for value in sorted(values)},
    }
    counts = ", ".join(f"{value} in {values[value]}" for value in sorted(values))
    notes.append(f"labels are named by their integers (cases with each: {counts}); rename them")
    content |= _divided(cases, output.absolute().parent, folds, seed, notes)
    check_schema(content, output, manifests_dir() / SCHEMA)
    return Draft(content, cases, pairing.left, notes)


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
    """
    refuse_existing(path, force=force)
    with atomic_path(path) as draft:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        draft.write_text(text + "\n", encoding="utf-8")


def add_folds(path: Path, folds: int, seed: int = 0, *, force: bool = False) -> list[int]:
    """Write folds by patient into a manifest; `test` cases and cases without label stay out.

    Returns:
        The number of cases that each fold holds out.

    Raises:
        DataError: The manifest is not right.
        InvalidValueError: It has folds and `force` is not given, or has fewer patients than folds.
    """
    manifest = load_manifest(path)
    if manifest.folds and not force:
        raise InvalidValueError(
            f"{path} has {len(manifest.folds)} folds", hint="replace them with --force"
        )
    raw = read_json(manifest.path)
    cases = [case for case in manifest.cases if case.label and case.part != "test"]
    held_out = deal_folds(cases, folds, seed)
    entries: list[dict[str, list[str]]] = [{"val": ids} for ids in held_out]
    if any(case.part == "val" for case in cases):  # all but the held-out ones train
        for entry in entries:
            entry["train"] = [case.id for case in cases if case.id not in entry["val"]]
    for key in ("training", "validation"):  # a case's own number of a fold would say otherwise
        for case in raw.get(key, ()):
            if isinstance(case, dict):
                case.pop("fold", None)
    write_manifest({**raw, "folds": entries}, manifest.path, force=True)
    return [len(ids) for ids in held_out]


def _read_values(pairing: Pairing, *, quiet: bool) -> Counter[int]:
    """How many cases have each integer; pairs that do not fit each other are left alone."""
    values: Counter[int] = Counter()
    kept = []
    for pair in progress(pairing.pairs, "reading labels", quiet=quiet):
        file = pair.label
        try:
            label = read_label(file)
            for file in pair.images:
                shape = read_header(file).shape
                if shape != label.shape:
                    raise DataError(f"its shape is {shape}, its label's {label.shape}", hint="")
        except DataError as error:
            pairing.left.append((file, error.line().rstrip("; ")))
            continue
        kept.append(pair)
        values.update(int(value) for value in np.unique(label.array) if value)
    pairing.pairs = kept
    if not values:
        what = "every label is empty" if kept else f"no label fits: {pairing.left[-1][1]}"
        raise DataError(what, hint="give the folder of the label maps")
    if len(values) > MOST_LABELS or max(values) > 65535 or min(values) < 0:
        raise DataError(
            f"the labels hold {len(values)} different integers, {min(values)} to {max(values)}",
            hint="classes are integers from 1 to 65535; make numbered objects one class first",
        )
    return values


def _modality(
    given: str | None, pairs: list[Pair], output: Path, notes: list[str]
) -> str | list[str]:
    """One modality, or one for each channel of a volume."""
    first = pairs[0]
    channels = len(first.images)
    if channels == 1 and kind_of(first.images[0]) != "picture":
        channels = read_header(first.images[0]).channels
    if given:
        found = [canonical_modality(word, output) for word in given.split(",")]
        found = found * channels if len(found) == 1 else found
    elif len(first.images) > 1:
        found = [guess_modality([pair.images[c] for pair in pairs], notes) for c in range(channels)]
    else:
        found = [guess_modality([pair.images[0] for pair in pairs], notes)] * channels
    return found if len(found) > 1 else found[0]


def _patient_rule(
    pairs: list[Pair], expression: str | None, output: Path, notes: list[str]
) -> PatientRule:
    """The given rule, BIDS's where all ids follow it, else every case for itself."""
    if expression is None and all(re.match(SUBJECT, pair.id) for pair in pairs):
        expression = SUBJECT
        notes.append("patients are the subjects of the file names, as BIDS writes them")
    elif expression is None:
        notes.append(
            "every case counts as its own patient; where one has several, give --patient EXPRESSION"
        )
    return PatientRule(expression, 1, output)


def _divided(
    cases: list[Case], folder: Path, folds: int | None, seed: int, notes: list[str]
) -> dict[str, Any]:
    """The lists of cases, and the folds where they were asked for."""
    if folds is not None:
        held_out = deal_folds(cases, folds, seed)
        notes.append(f"{folds} folds hold out {', '.join(str(len(ids)) for ids in held_out)} cases")
        entries = [_entry(case, folder) for case in cases]
        return {"training": entries, "folds": [{"val": ids} for ids in held_out]}
    parts = deal_parts(cases, seed)
    placed = [replace(case, part=parts[case.id]) for case in cases]
    lists = {"training": "train", "validation": "val", "testing": "test"}
    found = {
        key: [_entry(case, folder) for case in placed if case.part == part]
        for key, part in lists.items()
    }
    counted = Counter(parts.values())
    notes.append(
        f"{counted['train']} cases train, {counted['val']} choose the weights (val), "
        f"{counted['test']} are only reported (test)"
    )
    if not counted["test"]:
        notes.append("there is one patient only, so nothing can be held out")
    return {key: entries for key, entries in found.items() if entries}


def _entry(case: Case, folder: Path) -> dict[str, Any]:
    """A case as JSON; paths below `folder` relative to it."""
    images = [_written(path, folder) for path in case.images]
    return {
        "id": case.id,
        "image": images if len(images) > 1 else images[0],
        "label": _written(case.label, folder) if case.label else None,
        "patient": case.patient,
    }


def _written(path: Path, folder: Path) -> str:
    """A path as the manifest has it."""
    inside = path.is_relative_to(folder)
    return (path.relative_to(folder) if inside else path).as_posix()
