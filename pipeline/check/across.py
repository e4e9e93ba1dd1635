"""Checks between cases: patients and copies across splits, foreign grids, absent labels."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pipeline.check.facts import CaseFacts
from pipeline.check.findings import SET, Finding
from pipeline.check.single import is_white_mask
from pipeline.io import corner_distance
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS
from pipeline.manifests import PARTS, Case, Manifest

Divisions = Sequence[Mapping[str, str]]
"""For each way to divide the cases: the part of each case's id, as `train of fold 0`."""


def divisions_of(manifest: Manifest, fold: int | None = None) -> Divisions:
    """Return the split and all folds, or one fold.

    Raises:
        InvalidValueError: No such fold.
    """
    if fold is not None:
        parts = [(part, manifest.part(part, fold)) for part in PARTS]
        return [{case.id: f"{part} of fold {fold}" for part, cases in parts for case in cases}]
    folds = [
        {case: f"{part} of fold {n}" for part in PARTS for case in getattr(division, part)}
        for n, division in enumerate(manifest.folds)
    ]
    return [{case.id: case.part for case in manifest.cases if case.part}, *folds]


def check_patients(cases: Sequence[Case], divisions: Divisions) -> Iterator[Finding]:
    """Yield an error for a patient whom the manifest itself has in two parts."""
    groups = _groups({case.id: case.patient for case in cases})
    for ids in groups:
        for one, other, where in _divided(ids, divisions):
            measured = f"{one} and {other} are {where}"
            remedy = "put all cases of a patient into one part"
            yield Finding(other, "error", "patient in two parts", measured, remedy)


def check_identities(
    facts: Sequence[CaseFacts], cases: Sequence[Case], divisions: Divisions
) -> Iterator[Finding]:
    """Yield an error for a DICOM patient in two parts, a warning for one under two names."""
    named = {case.id: case.patient for case in cases}
    for ids in _groups({f.id: f.patient for f in facts if f.patient}):
        divided = list(_divided(ids, divisions))
        for one, other, where in divided:
            measured = f"the DICOM patient of {one} and {other}, {where}"
            remedy = "put all cases of a patient into one part"
            yield Finding(other, "error", "patient in two parts", measured, remedy)
        if not divided and len({named[i] for i in ids}) > 1:
            measured = f"the DICOM patient of {_list(ids)}"
            remedy = "give them one patient in the manifest, so that no split divides them"
            yield Finding(ids[1], "warning", "patient with two names", measured, remedy)


def check_duplicates(facts: Sequence[CaseFacts], divisions: Divisions) -> Iterator[Finding]:
    """Yield an error for equal voxels in two parts, a warning within one."""
    for ids in _groups({f.id: f.image.digest for f in facts if f.image and f.image.digest}):
        divided = list(_divided(ids, divisions))
        for one, other, where in divided:
            measured = f"all voxels equal those of {one}, {where}"
            yield Finding(other, "error", "duplicate in two parts", measured, "remove one of them")
        told = {other for _, other, _ in divided} | {ids[0]}
        for other in ids:
            if other not in told:
                measured = f"all voxels equal those of {ids[0]}"
                yield Finding(other, "warning", "duplicate", measured, "remove one of them")


def check_foreign_grids(facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Yield an error for a label that misses its own image and has the grid of another's."""
    for fact in facts:
        if fact.label is None or fact.label.fits or fact.label.affine is None:
            continue
        hosts = [other.id for other in facts if other.id != fact.id and _same_grid(fact, other)]
        if hosts:
            measured = f"its grid is that of the image of {_list(hosts)}"
            remedy = "give each case its own label: two may be exchanged"
            yield Finding(fact.id, "error", "label of another scan", measured, remedy)


def check_absent(facts: Sequence[CaseFacts], manifest: Manifest) -> Iterator[Finding]:
    """Yield a warning for a declared name whose integers no label map holds."""
    labels = [fact.label for fact in facts if fact.label is not None]
    white = any(is_white_mask(fact, manifest) for fact in facts)
    present = {value for label in labels for value in label.counts}
    present |= set(manifest.integers[1:]) if white else set()
    for name, values in zip(manifest.foreground, manifest.values, strict=True):
        if labels and not present & set(values):
            measured = f"{name} ({', '.join(map(str, values))}) in 0 of {len(labels)} labels"
            remedy = "take it out of the manifest, or mend its integer"
            yield Finding(SET, "warning", "label never present", measured, remedy)


def check_white(facts: Sequence[CaseFacts], manifest: Manifest) -> Iterator[Finding]:
    """Yield a warning, one for the set, where masks of 0 and 255 stand for the only class."""
    white = [fact.id for fact in facts if is_white_mask(fact, manifest)]
    if white:
        name = manifest.foreground[0]
        measured = f"0 and 255 in {len(white)} of {len(facts)}: 255 is taken for {name}"
        yield Finding(SET, "warning", "white masks", measured, "nothing, if this is meant")


def _same_grid(fact: CaseFacts, other: CaseFacts) -> bool:
    """Whether a label lies on the image of another case."""
    label, image = fact.label, other.image
    if label is None or image is None or label.affine is None or image.affine is None:
        return False
    return label.shape == image.shape and (
        corner_distance(np.array(image.affine), np.array(label.affine), image.shape)
        <= GRID_TOLERANCE_VOXELS
    )


def _groups(keys: Mapping[str, str | None]) -> list[list[str]]:
    """Ids with equal keys, where there are at least two."""
    found: dict[str | None, list[str]] = defaultdict(list)
    for case, key in keys.items():
        found[key].append(case)
    return [ids for ids in found.values() if len(ids) > 1]


def _divided(ids: Sequence[str], divisions: Divisions) -> Iterator[tuple[str, str, str]]:
    """Pairs of the first id and another in different parts, once each, and where they are."""
    told: set[str] = set()
    for parts in divisions:
        one = next((case for case in ids if case in parts), None)
        for other in ids:
            if one is None or other not in parts or other in told or parts[one] == parts[other]:
                continue
            told.add(other)
            yield one, other, f"in {parts[one]} and {parts[other]}"


def _list(ids: Sequence[str]) -> str:
    """A few ids, and how many more."""
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(ids[:3]) + more
