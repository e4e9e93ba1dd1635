"""Left and right: labels named after a side, and where they lie in the world."""

import re
from collections.abc import Iterator, Mapping, Sequence

from pipeline.check.facts import CaseFacts
from pipeline.check.findings import SET, Finding

_SIDES = {"left": -1, "l": -1, "lt": -1, "right": 1, "r": 1, "rt": 1}
_REMEDY = "see whether the affine is mirrored, or the labels are exchanged"


def side_of(name: str) -> int:
    """Return -1 for a name that says left, 1 for right (x grows to the right), else 0."""
    # a number may follow a word, but a letter with one is a name: the vertebra L5
    words = re.findall(r"(?<![a-z])([a-z]{2,}|[a-z](?![0-9]))", name.lower())
    found = {_SIDES[word] for word in words if word in _SIDES}
    return found.pop() if len(found) == 1 else 0


def partner_of(name: str, labels: Mapping[str, int]) -> str | None:
    """Return the label of the same thing on the other side, where it is declared."""
    side = side_of(name)
    for other in labels:
        if side and side_of(other) == -side and _thing(other) == _thing(name):
            return other
    return None


def offset(facts: CaseFacts, name: str, labels: Mapping[str, int]) -> float | None:
    """Return mm by which a label lies on the side of its name; below 0 on the wrong one.

    The middle is half way to its partner, or that of the body where the partner is not there.
    """
    if facts.label is None or labels[name] not in facts.label.centres:
        return None
    centres = facts.label.centres
    partner = partner_of(name, labels)
    if partner is not None and labels[partner] in centres:
        middle: float | None = (centres[labels[name]] + centres[labels[partner]]) / 2
    else:
        middle = facts.image.middle if facts.image is not None else None
    return None if middle is None else side_of(name) * (centres[labels[name]] - middle)


def check_sides(cases: Sequence[CaseFacts], labels: Mapping[str, int]) -> Iterator[Finding]:
    """Yield a warning for the set where a side is mostly swapped, else for each swapped case."""
    for name in labels:
        if not side_of(name):
            continue
        found = {case.id: offset(case, name, labels) for case in cases}
        known = {case: mm for case, mm in found.items() if mm is not None}
        wrong = {case: mm for case, mm in known.items() if mm < 0}
        if 2 * len(wrong) > len(known):
            measured = f"{name} on the other side in {len(wrong)} of {len(known)} cases"
            yield Finding(SET, "warning", "sides swapped", measured, _REMEDY)
            continue
        for case, mm in wrong.items():
            measured = f"{name} {-mm:.1f} mm on the other side of the middle"
            yield Finding(case, "warning", "sides swapped", measured, _REMEDY)


def _thing(name: str) -> list[str]:
    """The words of a name that say no side."""
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word not in _SIDES]
