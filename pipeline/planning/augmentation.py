"""Which random transforms a set bears, from its modality and the names of its labels."""

import re
from typing import Any, Final

from pipeline.planning.facts import Fingerprint
from pipeline.planning.places import Places
from pipeline.planning.pooling import THICK

SIDES = re.compile(
    r"\b(left|right|l|r|lt|rt|lh|rh|lv|rv|anterior|posterior|superior|inferior|upper|lower)\b",
    re.IGNORECASE,
)

NO_AUGMENTATION: Final = {
    "flip": [],
    "probability": 0.0,
    "rotate": 0.0,
    "rotate_axes": [],
    "scale": 0.0,
    "shift": 0.0,
    "gain": 0.0,
    "offset": 0.0,
    "gamma": None,
    "noise": 0.0,
}


def planned_augmentation(facts: Fingerprint, places: Places) -> tuple[dict[str, Any], str]:
    """Return sizes and probabilities of the random transforms, and the reason.

    Keys: `flip` (axes mirrored with probability one half), `probability` of the spatial
    transform, `rotate` in radians around `rotate_axes`, `scale` and `shift` as fractions, then
    `gain`, `offset` (after normalisation), `gamma` (exponents) and `noise` (standard deviation).
    """
    ct = all(m.upper() == "CT" for m in facts.modality)
    flips, mirrored = _flips(facts)
    free = facts.dims == 2 and set(facts.modality) == {"microscopy"}
    axes, turned = _turns(places)
    augment: dict[str, Any] = {
        "flip": flips,
        "probability": 0.3 if facts.dims == 3 else 0.5,
        "rotate": 3.14 if free else 0.2,
        "rotate_axes": axes,
        "scale": 0.3 if facts.dims == 2 else 0.12,
        "shift": 0.05,
        "gain": 0.1 if ct else 0.2,
        "offset": 0.1 if ct else 0.2,
        "gamma": None if ct else [0.8, 1.25],
        "noise": 0.05 if ct else 0.1,
    }
    values = "small changes of HU" if ct else "changes of contrast too"
    return augment, "; ".join(part for part in (mirrored, turned, values) if part)


def _flips(facts: Fingerprint) -> tuple[list[int], str]:
    """Axes along which a mirrored image could be a real one."""
    sided = [name for name in facts.classes if SIDES.search(_words(name))]
    if sided:
        return [], f"no mirroring: labels have sides ({sided[0]})"
    if facts.dims == 3:
        return [], "no mirroring: a body has sides, even where labels name none"
    kinds = set(facts.modality)
    if kinds == {"microscopy"}:
        return [0, 1], "what lies under a microscope has no side: mirrored and turned freely"
    if kinds == {"photograph"}:
        return [1], "photographs are upright: mirrored from left to right, turned little"
    return [], "no mirroring: a body has sides, even where labels name none"


def _turns(places: Places) -> tuple[list[int], str]:
    """Axes to turn around: only the thick one where voxels are long, so that slices stay whole."""
    dims = len(places.patch)
    if dims == 2:
        return [0], ""
    assert places.spacing is not None
    longest = max(range(3), key=lambda i: places.spacing[i])  # type: ignore[index]
    others = [s for i, s in enumerate(places.spacing) if i != longest]
    if places.spacing[longest] < THICK * min(others):
        return [0, 1, 2], ""
    return [longest], "turned within the slices alone, for these are thick"


def _words(name: str) -> str:
    """A name with blanks between its words."""
    return re.sub(r"[_\W]+", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", name))
