"""Divides cases between parts and folds, always whole patients, the same on every machine."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.manifests.manifest import PARTS, Case, Fold, Part


def assign_parts(cases: list[Case], split: dict[str, list[str]], path: Path) -> list[Case]:
    """Put cases into the parts in which `split` names their id or patient.

    Raises:
        DataError: A name that no case has, or a case that two parts claim.
    """
    parts: dict[str, Part] = {}
    for part in PARTS:
        for case_id in resolve_ids(cases, split.get(part, ()), f"split {part}", path):
            if parts.setdefault(case_id, part) != part:
                raise DataError(
                    f'manifest {path}: case "{case_id}" is in {parts[case_id]} and in {part}',
                    hint="name it once",
                )
    return [replace(case, part=parts.get(case.id, case.part)) for case in cases]


def build_folds(cases: list[Case], raw: list[Any], path: Path) -> tuple[Fold, ...]:
    """Folds from lists of ids or patients.

    Raises:
        DataError: A name that no case has, a patient in two parts of one fold, a case without
            label that trains, or nothing to train on or to report.
    """
    return tuple(_build_fold(cases, entry, number, path) for number, entry in enumerate(raw))


def folds_of_cases(cases: list[Case], numbers: dict[str, int], path: Path) -> tuple[Fold, ...]:
    """Folds from the number that each case carries (MONAI's `fold` of a datalist's entry)."""
    count = max(numbers.values(), default=-1) + 1
    held_out: list[list[str]] = [[] for _ in range(count)]
    for case_id, number in numbers.items():
        held_out[number].append(case_id)
    return build_folds(cases, held_out, path)


def check_patients(cases: Iterable[Case], path: Path) -> None:
    """Refuse a patient whose cases are in two parts: what is reported would have been seen.

    Raises:
        DataError: Names the patient and the two parts.
    """
    seen: dict[str, Case] = {}
    for case in cases:
        other = seen.setdefault(case.patient, case)
        if case.part != other.part:
            raise DataError(
                f'manifest {path}: patient "{case.patient}" is in two parts, '
                f'case "{other.id}" in {other.part} and "{case.id}" in {case.part}',
                hint="put all cases of a patient into one part",
            )


def resolve_ids(cases: list[Case], wanted: Iterable[str], what: str, path: Path) -> list[str]:
    """Ids of the cases that `wanted` names by id or by patient.

    Raises:
        DataError: Names that no case has; the first and how many.
    """
    by_id = {case.id for case in cases}
    by_patient: dict[str, list[str]] = {}
    for case in cases:
        by_patient.setdefault(case.patient, []).append(case.id)
    unknown = [name for name in wanted if name not in by_id and name not in by_patient]
    if unknown:
        raise DataError(
            f'manifest {path}: {what} names "{unknown[0]}", which is no case and no patient'
            + (f" (and {len(unknown) - 1} more such names)" if len(unknown) > 1 else ""),
            hint="complete the data, or take the name out",
        )
    found = [[name] if name in by_id else by_patient[name] for name in wanted]
    return list(dict.fromkeys(case_id for ids in found for case_id in ids))


def _build_fold(cases: list[Case], entry: Any, number: int, path: Path) -> Fold:
    """One fold, from an object or from the list of what it holds out."""
    raw = entry if isinstance(entry, dict) else {"val": entry}
    what = f"fold {number}"
    first = resolve_ids(cases, raw["val"], what, path)
    test = resolve_ids(cases, raw["test"], what, path) if "test" in raw else first
    val = first if "test" in raw else []
    if "train" in raw:
        train = resolve_ids(cases, raw["train"], what, path)
    else:
        held = {*val, *test}
        train = [c.id for c in cases if c.part in (None, "train") and c.label and c.id not in held]
    if not val:  # the manifest's own val still chooses the weights
        val = [c.id for c in cases if c.part == "val" and c.id not in {*train, *test}]
    fold = Fold(tuple(train), tuple(val), tuple(test))
    _check_fold(cases, fold, what, path)
    return fold


def _check_fold(cases: list[Case], fold: Fold, what: str, path: Path) -> None:
    """Refuse a fold that trains on nothing, reports nothing, or divides a patient."""
    if not fold.train or not fold.test:
        empty = "trains on" if not fold.train else "holds out"
        raise DataError(f"manifest {path}: {what} {empty} no case", hint="name some cases")
    parts = {case_id: part for part in PARTS for case_id in getattr(fold, part)}
    inside = [replace(case, part=parts[case.id]) for case in cases if case.id in parts]
    twice = {*fold.train} & {*fold.val, *fold.test} | {*fold.val} & {*fold.test}
    if twice:
        raise DataError(
            f'manifest {path}: {what} has case "{min(twice)}" in two of its parts',
            hint="name it once",
        )
    try:
        check_patients(inside, path)
    except DataError as error:
        raise DataError(f"{what}: {error}", hint=error.hint) from None
    check_labelled(inside, path)


def check_labelled(cases: Iterable[Case], path: Path) -> None:
    """Refuse a case that trains or chooses weights and has no label.

    Raises:
        DataError: Names the case.
    """
    for case in cases:
        if case.label is None and case.part in ("train", "val"):
            raise DataError(
                f'manifest {path}: case "{case.id}" in {case.part} has no label',
                hint="give it a label, or move it to test, where it is only predicted",
            )
