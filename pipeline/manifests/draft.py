"""Writes a manifest for one's own files: integers read, the modality guessed, patients divided."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.errors import DataError
from pipeline.io import kind_of, read_header
from pipeline.manifests.dataset_facts import DatasetFacts, read_dataset_facts
from pipeline.manifests.draft_entries import divided
from pipeline.manifests.draft_labels import JPEG, Naming, name_labels
from pipeline.manifests.label import load_label
from pipeline.manifests.manifest import Case
from pipeline.manifests.modality import canonical_modality, guess_modality
from pipeline.manifests.pairing import Pair, Pairing, pair_files
from pipeline.manifests.patient import PatientRule
from pipeline.manifests.place import SCHEMA, manifests_dir
from pipeline.manifests.schema import check_schema
from pipeline.progress import progress

MOST_LABELS: Final = 200  # more integers than this are numbered objects, not classes
SUBJECT: Final = r"(sub-[A-Za-z0-9]+)"  # BIDS
WHITE: Final = 255


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


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user may say about a draft.

    Args:
        name: Name of the set; None: that of the manifest's file.
        modality: One, or with commas one a channel; None: from headers, names or values.
        patient: Regular expression with one group over the id; None: BIDS subjects, else every
            case is its own patient.
        folds: Number of folds; None: parts train, val and test.
        seed: Draws the parts or the folds.
        only: Pattern that images must match.
        structures: Structures of drawings to take, the strongest first; None: all.
        threshold: Grey level from which on a JPEG mask is foreground.
    """

    name: str | None = None
    modality: str | None = None
    patient: str | None = None
    folds: int | None = None
    seed: int = 0
    only: str | None = None
    structures: Sequence[str] | None = None
    threshold: float | None = None


def draft_manifest(
    images: Path, labels: Path | None, output: Path, wishes: Wishes | None = None, *, quiet: bool
) -> Draft:
    """Pair images and labels, read the labels, and divide the patients.

    Args:
        images: Folder of the images, or of both.
        labels: Folder of the labels; None: they lie with the images.
        output: Where the manifest will lie; paths below that folder are written relative to it.
        wishes: What the user says about it.
        quiet: No progress bar.

    Raises:
        DataError: Nothing fits, no label can be read, or labels are numbered objects.
        InvalidValueError: More folds than patients.
    """
    wishes = wishes or Wishes()
    images, labels = images.absolute(), labels.absolute() if labels else None
    pairing = pair_files(images, labels, wishes.only)
    naming = name_labels(pairing, wishes.structures, wishes.threshold)
    present = _read_values(pairing, naming, output, quiet=quiet)
    values = Counter(value for found in present.values() for value in found)
    facts = read_dataset_facts(images)
    notes = pairing.notes
    rule = _patient_rule(pairing.pairs, wishes.patient, output, notes)
    cases = [
        Case(
            p.id,
            p.images if len(p.images) > 1 else p.images[0],
            naming.label_of(p, output),
            rule(p.id),
            series=p.series,
        )
        for p in pairing.pairs
    ]
    content: dict[str, Any] = {
        "name": wishes.name or re.sub(r"[^A-Za-z0-9_.-]+", "_", output.stem).lstrip("_.-") or "own",
        "modality": _modality(wishes.modality, pairing.pairs, output, facts, notes),
        **_named(values, naming, facts, notes),
    }
    folder = output.absolute().parent
    content |= divided(cases, naming.raw, present, folder, wishes.folds, wishes.seed, notes)
    check_schema(content, output, manifests_dir() / SCHEMA)
    return Draft(content, cases, pairing.left, notes)


def _read_values(
    pairing: Pairing, naming: Naming, output: Path, *, quiet: bool
) -> dict[str, set[int]]:
    """The integers of each case, by its id; pairs that do not fit each other are left alone."""
    present: dict[str, set[int]] = {}
    kept = []
    for pair in progress(pairing.pairs, "reading labels", quiet=quiet):
        label = naming.label_of(pair, output)
        file = label if isinstance(label, Path) else pair.images[0]
        try:
            volume = load_label(label)
            for file in pair.images:
                shape = read_header(file, series=pair.series).shape
                if shape != volume.shape:
                    raise DataError(f"its shape is {shape}, its label's {volume.shape}", hint="")
        except DataError as error:
            pairing.leave(file, error.line().rstrip("; "))
            continue
        kept.append(pair)
        present[pair.id] = {int(value) for value in np.unique(volume.array) if value}
    pairing.pairs = kept
    values = set().union(*present.values())
    if not values:
        raise _no_values(pairing)
    if len(values) > MOST_LABELS or max(values) > 65535 or min(values) < 0:
        raise DataError(
            f"the labels hold {len(values)} different integers, {min(values)} to {max(values)}",
            hint="classes are integers from 1 to 65535; make numbered objects one class first",
        )
    return present


def _no_values(pairing: Pairing) -> DataError:
    """The error of a set without a single label, with the last reason."""
    if pairing.pairs:
        return DataError("every label is empty", hint="give the folder of the label maps")
    file, reason = pairing.left[-1]
    hint = "mend the first of them, or give other folders"
    if file.suffix.lower() in JPEG:
        hint = "save the masks as PNG, or cut them at a grey level: --threshold 128"
    return DataError(f"no label fits: {reason}", hint=hint)


def _named(
    values: Counter[int], naming: Naming, facts: DatasetFacts | None, notes: list[str]
) -> dict[str, Any]:
    """Labels, regions or colours as JSON, and notes on what is odd about them."""
    counts = ", ".join(f"{value} in {values[value]}" for value in sorted(values))
    notes.append(f"cases with each label: {counts}")
    if naming.labels:
        _tell_absent(naming.labels, values, notes)
        return {"labels": naming.labels} | ({"colours": naming.colours} if naming.colours else {})
    if facts is not None and facts.regions:
        covered = {value for group in facts.regions.values() for value in group}
        if covered >= set(values):
            notes.append(f"the regions are those of {facts.file}")
            return {"regions": facts.regions}
    labels = dict(facts.labels) if facts is not None else {}
    if labels and facts is not None:
        notes.append(f"the labels' names are those of {facts.file}")
        _tell_absent(labels, values, notes)
    unnamed = sorted(set(values) - set(labels.values()))
    if unnamed:
        labels |= {f"label_{value}": value for value in unnamed}
        names = ", ".join(f"label_{value}" for value in unnamed)
        notes.append(f"named by their integers: {names}; rename them")
    skipped = sorted(set(range(1, max(values))) - set(values) - set(labels.values()))
    if skipped and max(values) != WHITE:
        shown = ", ".join(map(str, skipped[:10])) + (", ..." if len(skipped) > 10 else "")
        notes.append(f"no label has the integer {shown}: kept as it is, each label is one class")
    return {"labels": labels}


def _tell_absent(labels: dict[str, int], values: Counter[int], notes: list[str]) -> None:
    """Name the labels that no case has: nothing can be learnt of them."""
    absent = [name for name, integer in labels.items() if integer not in values]
    if absent:
        notes.append(f"declared, but in no case: {', '.join(absent)}; take them out")


def _modality(
    given: str | None,
    pairs: Sequence[Pair],
    output: Path,
    facts: DatasetFacts | None,
    notes: list[str],
) -> str | list[str]:
    """One modality, or one for each channel of a volume."""
    first = pairs[0]
    channels = len(first.images)
    if channels == 1 and kind_of(first.images[0]) != "picture":
        channels = read_header(first.images[0], series=first.series).channels
    if given:
        found = [canonical_modality(word, output) for word in given.split(",")]
        found = found * channels if len(found) == 1 else found
    elif facts is not None and len(facts.modalities) == channels:
        found = list(facts.modalities)
        notes.append(f"the modality is that of {facts.file}")
    else:
        files = len(first.images)
        guessed = [
            guess_modality([(pair.images[c], pair.series) for pair in pairs], notes)
            for c in range(files)
        ]
        found = guessed if files > 1 else guessed * channels
    return found if len(found) > 1 else found[0]


def _patient_rule(
    pairs: Sequence[Pair], expression: str | None, output: Path, notes: list[str]
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
