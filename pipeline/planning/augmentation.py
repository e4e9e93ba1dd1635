"""Which random transforms a set bears, from its modality and the names of its labels."""

import re
from typing import Any, Final

from pipeline.planning.fingerprint import Fingerprint

SIDES = re.compile(r"\b(left|right|l|r|lt|rt|anterior|posterior)\b", re.IGNORECASE)

NO_AUGMENTATION: Final = {
    "flip": [],
    "probability": 0.0,
    "rotate": 0.0,
    "scale": 0.0,
    "shift": 0.0,
    "gain": 0.0,
    "offset": 0.0,
    "gamma": None,
    "noise": 0.0,
}


def planned_augmentation(facts: Fingerprint, dims: int) -> tuple[dict[str, Any], str]:
    """Return sizes and probabilities of the random transforms, and the reason.

    Keys: `flip` (axes mirrored with probability one half), `probability` of the spatial
    transform, `rotate` in radians, `scale` and `shift` as fractions, then `gain`, `offset`
    (after normalisation), `gamma` (exponents) and `noise` (standard deviation).
    """
    sided = any(SIDES.search(re.sub(r"[_\W]+", " ", name)) for name in facts.classes)
    ct = all(m.upper() == "CT" for m in facts.modality)
    pictures = facts.dims == 2
    flips = [] if sided or not pictures else list(range(dims))
    augment: dict[str, Any] = {
        "flip": flips,
        "probability": 0.3 if facts.dims == 3 else 0.5,
        "rotate": 3.14 if pictures else 0.2,
        "scale": 0.3 if pictures else 0.12,
        "shift": 0.05,
        "gain": 0.1 if ct else 0.2,
        "offset": 0.1 if ct else 0.2,
        "gamma": None if ct else [0.8, 1.25],
        "noise": 0.05 if ct else 0.1,
    }
    if sided:
        why = "no mirroring: labels have sides; "
    elif pictures:
        why = "pictures have no side: mirrored and turned freely; "
    else:
        why = "no mirroring: a body has sides, even where labels name none; "
    return augment, why + ("small changes of HU" if ct else "changes of contrast too")
