"""Draws parts and folds from the patients' names alone, so that every machine draws the same."""

import hashlib
from collections.abc import Sequence

from pipeline.errors import InvalidValueError
from pipeline.manifests.manifest import Case, Part

TEST_SHARE = 0.2
VAL_SHARE = 0.1


def deal_parts(cases: Sequence[Case], seed: int = 0) -> dict[str, Part]:
    """Part of each case, by id: 70 % of the patients train, 10 % are `val`, 20 % `test`.

    Patients are ordered by the SHA-256 of `SEED:PATIENT`. From two patients on one is `test`,
    from three on one is `val`; a single patient trains.
    """
    patients = _ordered({case.patient for case in cases}, seed)
    count = len(patients)
    test = max(1, round(TEST_SHARE * count)) if count > 1 else 0
    val = max(1, round(VAL_SHARE * count)) if count > 2 else 0
    parts: dict[str, Part] = dict.fromkeys(patients, "train")
    parts.update(dict.fromkeys(patients[:test], "test"))
    parts.update(dict.fromkeys(patients[test : test + val], "val"))
    return {case.id: parts[case.patient] for case in cases}


def deal_folds(cases: Sequence[Case], folds: int, seed: int = 0) -> list[list[str]]:
    """Ids that each fold holds out: whole patients, as equal in cases as they allow.

    Patients with most cases come first, equal ones ordered by the SHA-256 of `SEED:PATIENT`; each
    goes to the fold that has the fewest cases so far.

    Raises:
        InvalidValueError: Fewer than two folds, or fewer patients than folds.
    """
    sizes: dict[str, int] = {}
    for case in cases:
        sizes[case.patient] = sizes.get(case.patient, 0) + 1
    if folds < 2:
        raise InvalidValueError(f"{folds} folds asked for", hint="give 2 or more, as --folds 5")
    if len(sizes) < folds:
        raise InvalidValueError(
            f"{folds} folds asked for, patients with labels: {len(sizes)}",
            hint="give fewer folds",
        )
    fold_of: dict[str, int] = {}
    filled = [0] * folds
    for patient in sorted(_ordered(sizes, seed), key=lambda name: -sizes[name]):
        fold_of[patient] = filled.index(min(filled))
        filled[fold_of[patient]] += sizes[patient]
    return [[case.id for case in cases if fold_of[case.patient] == fold] for fold in range(folds)]


def _ordered(patients: set[str] | dict[str, int], seed: int) -> list[str]:
    """Patients in an order that only the seed and their names decide."""
    return sorted(patients, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())
