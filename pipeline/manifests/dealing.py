"""Draws parts and folds from patients' names and labels alone: every machine draws the same."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pipeline.errors import InvalidValueError
from pipeline.manifests.manifest import Case, Part

TEST_SHARE = 0.2
VAL_SHARE = 0.1
ANY = ""  # the label that every case has


def deal_parts(
    cases: Sequence[Case],
    seed: int = 0,
    present: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Part]:
    """Part of each case, by id: 70 % of the patients train, 10 % are `val`, 20 % `test`.

    Patients are dealt as to folds, each label as evenly as they allow; what only one patient has
    is trained on. From two patients on one is `test`, from three on one is `val`; a single
    patient trains.

    Args:
        cases: All of them.
        seed: Orders equal patients.
        present: Labels that occur in each case, by its id; None: only sizes count.
    """
    groups = _counted(cases, present or {})
    count = len(groups)
    test = max(1, round(TEST_SHARE * count)) if count > 1 else 0
    val = max(1, round(VAL_SHARE * count)) if count > 2 else 0
    parts: tuple[Part, ...] = ("train", "test", "val")
    sizes = (count - test - val, test, val)
    dealt = _dealt(groups, seed, sizes, sizes)
    return {case.id: parts[dealt[case.patient]] for case in cases}


def deal_folds(
    cases: Sequence[Case],
    folds: int,
    seed: int = 0,
    present: Mapping[str, Collection[str]] | None = None,
) -> list[list[str]]:
    """Ids that each fold holds out: whole patients, each label as evenly as they allow.

    The label that the fewest patients still have goes first: its patients, those with most cases
    first, equal ones ordered by the SHA-256 of `SEED:PATIENT`, go each to the fold that lacks
    most cases with that label, then to the one that lacks most cases. Only whole numbers are
    compared, so that every machine deals the same.

    Args:
        cases: Those to be held out once.
        folds: Their number.
        seed: Orders equal patients.
        present: Labels that occur in each case, by its id; None: only sizes count.

    Source:
        K. Sechidis, G. Tsoumakas, I. Vlahavas, On the stratification of multi-label data, ECML
        PKDD 2011, algorithm 1.

    Deviations:
        Patients take the place of examples and count by their cases; ties are never drawn.

    Raises:
        InvalidValueError: Fewer than two folds, or fewer patients than folds.
    """
    groups = _counted(cases, present or {})
    if folds < 2:
        raise InvalidValueError(f"{folds} folds asked for", hint="give 2 or more, as --folds 5")
    if len(groups) < folds:
        raise InvalidValueError(
            f"{folds} folds asked for, patients with labels: {len(groups)}",
            hint="give fewer folds" if len(groups) > 1 else "one patient cannot be divided",
        )
    fold_of = _dealt(groups, seed, (1,) * folds)
    return [[case.id for case in cases if fold_of[case.patient] == fold] for fold in range(folds)]


def _dealt(
    groups: Mapping[str, Counter[str]],
    seed: int,
    weights: Sequence[int],
    room: Sequence[int] | None = None,
) -> dict[str, int]:
    """The heap of each patient: each heap gets its weight's share of every label's cases.

    Args:
        groups: For each patient the number of its cases with each label.
        seed: Orders equal patients.
        weights: Of the heaps.
        room: Patients that a heap takes at most, all together; None: any number.
    """
    whole = sum(weights)
    total = sum(groups.values(), Counter[str]())
    placed: list[Counter[str]] = [Counter() for _ in weights]
    left = [len(groups)] * len(weights) if room is None else list(room)
    heap_of: dict[str, int] = {}
    waiting = sorted(_ordered(groups, seed), key=lambda name: -groups[name][ANY])
    have = Counter(label for labels in groups.values() for label in labels)
    while waiting:
        label = min(have, key=lambda one: (have[one], one == ANY, one))
        patient = next(name for name in waiting if groups[name][label])
        lack = [
            (
                free > 0,
                weight * total[label] - whole * there[label],
                weight * total[ANY] - whole * there[ANY],
            )
            for weight, there, free in zip(weights, placed, left, strict=True)
        ]
        heap = heap_of[patient] = lack.index(max(lack))
        placed[heap] += groups[patient]
        left[heap] -= 1
        waiting.remove(patient)
        have -= Counter(dict.fromkeys(groups[patient], 1))  # keeps what is left of each
    return heap_of


def _counted(
    cases: Sequence[Case], present: Mapping[str, Collection[str]]
) -> dict[str, Counter[str]]:
    """For each patient the number of its cases with each label, and of all of them."""
    groups: dict[str, Counter[str]] = {}
    for case in cases:
        found = {ANY, *present.get(case.id, ())}
        groups.setdefault(case.patient, Counter()).update(found)
    return groups


def _ordered(patients: Collection[str], seed: int) -> list[str]:
    """Patients in an order that only the seed and their names decide."""
    return sorted(patients, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())
