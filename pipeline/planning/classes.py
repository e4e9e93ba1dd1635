"""How often each class is seen, and how much its voxels weigh, from the classes' shares."""

import math
from collections.abc import Sequence


def planned_sampling(shares: Sequence[float]) -> tuple[float, ...]:
    """Probability that a patch is centred on background and on each class.

    A third anywhere (nearly always background); the rest by share to the power -1/3, so that a
    rare class is seen often and a common one still.
    """
    present = [s if s > 0 else math.inf for s in shares[1:]]
    raw = [s ** (-1 / 3) for s in present]
    total = sum(raw)
    if total == 0:
        return (1.0, *(0.0 for _ in raw))
    return (round(1 / 3, 6), *(round(2 / 3 * r / total, 6) for r in raw))


def planned_weights(shares: Sequence[float], head: str) -> tuple[tuple[float, ...] | None, str]:
    """Weights of the cross-entropy: share to the power -1/2, scaled to a mean weight of 1."""
    if head == "sigmoid":
        return None, "regions: each has its own Dice"
    if min(shares) >= 0.05:
        return None, "every class has at least 5 % of the voxels"
    floor = max(1e-5, min((s for s in shares if s > 0), default=1.0))
    raw = [max(s, floor) ** -0.5 for s in shares]
    scale = sum(w * s for w, s in zip(raw, shares, strict=True))
    why = "share to the power -1/2, mean 1 over voxels; they fade until 70 % of the training"
    return tuple(round(w / scale, 5) for w in raw), why
