"""How intensities reach the network: by a window, by each case's own values, in one polarity."""

from collections.abc import Sequence
from typing import Final

from pipeline.errors import InvalidValueError
from pipeline.planning.facts import Fingerprint, Intensity
from pipeline.planning.windows import refuse_ct_window, window_intervals

Intervals = tuple[tuple[float, float], ...]
Given = str | Sequence[float] | Sequence[Sequence[float]]

WINDOW_MARGIN: Final = 0.5  # of the foreground's range, added at both ends
LARGEST_SUV: Final = 100.0  # activity concentrations in Bq/ml are in the thousands
SKULL_STRIPPED: Final = 0.25  # share of exact zeros from which on they are no tissue
TOLD: Final = 0.9  # share of the cases whose polarity the image alone must tell
VARIETY_LIMIT: Final = 0.5  # spread between cases over the spread within a case
FEWEST_CASES: Final = 3  # whose variety says something
HEAVY_TAILED: Final = ("PET", "SPECT")


def planned_normalisation(facts: Fingerprint) -> tuple[str, str]:
    """Return the normalisation by modality, and the reason."""
    kinds = [_kind(m, i) for m, i in zip(facts.modality, facts.intensity, strict=True)]
    names = ", ".join(dict.fromkeys(facts.modality))
    if set(kinds) == {"CT"}:
        return "window", "CT: its values are HU and mean the same in each case"
    if set(kinds) <= {"CT", "SUV"}:
        highest = max(i.high for i, k in zip(facts.intensity, kinds, strict=True) if k == "SUV")
        return "window", (
            f"{names}: positive, and {highest:g} at percentile 99.5 of the foreground, so SUV, "
            "which means the same in each case"
        )
    if all(m in HEAVY_TAILED for m in facts.modality):
        return "percentile", (
            f"{names}: no SUV (values of {facts.intensity[0].lowest:g} to "
            f"{facts.intensity[0].high:g}), so each case by itself; a few voxels are far brighter "
            "than the rest, so by percentiles and not by mean and deviation"
        )
    zeros = min(i.zeros for i in facts.intensity)
    if facts.dims == 3 and zeros >= SKULL_STRIPPED:
        return "zscore_nonzero", (
            f"{names}: values have no common unit, so each case by itself; {zeros:.0%} of the "
            "voxels are exactly 0 and no tissue, so by the others"
        )
    return "zscore", f"{names}: values have no common unit, so each case by itself"


def _kind(modality: str, values: Intensity) -> str:
    """`CT`, `SUV` for PET in standardised uptake values, else the modality."""
    positive = values.lowest is not None and values.lowest >= 0
    if modality.upper() == "PET" and positive and values.high <= LARGEST_SUV:
        return "SUV"
    return modality.upper()


def planned_window(
    facts: Fingerprint, normalisation: str, given: Given | None, *, forced: bool
) -> tuple[Intervals, str]:
    """Return lower and upper end per channel for `window` and `dataset`, and the reason.

    Args:
        facts: The fingerprint.
        normalisation: `window` or `dataset`.
        given: The user's window or the manifest's; for CT where it is one of several modalities.
        forced: The user asked for this normalisation.

    Raises:
        UnknownNameError: No window of that name.
        InvalidValueError: No window at all, or one by name for values that are no HU.
    """
    ct = [m.upper() == "CT" for m in facts.modality]
    own = [_interval(i, m, normalisation) for i, m in zip(facts.intensity, ct, strict=True)]
    if given is None:
        return tuple(own), _reason(facts, ct, normalisation)
    if not any(ct) and not forced:
        refuse_ct_window(given, facts.modality)
    named = window_intervals(given, facts.channels)
    if any(ct) and not all(ct) and len(set(named)) == 1:
        named = tuple(n if c else o for n, o, c in zip(named, own, ct, strict=True))
    return named, "named in the manifest"


def _interval(values: Intensity, ct: bool, normalisation: str) -> tuple[float, float]:
    """The ends that the foreground of a channel suggests."""
    if normalisation == "dataset":
        return values.low, values.high
    if not ct and (values.lowest or 0.0) >= 0:
        return 0.0, max(values.high, 1e-6)
    margin = WINDOW_MARGIN * max(values.high - values.low, 1.0)
    return float(round(values.low - margin)), float(round(values.high + margin))


def _reason(facts: Fingerprint, ct: Sequence[bool], normalisation: str) -> str:
    """What `_interval` did, with the foreground's percentiles."""
    ends = ", ".join(f"{i.low:g} to {i.high:g}" for i in facts.intensity)
    if normalisation == "dataset":
        return f"percentiles 0.5 and 99.5 of the foreground ({ends})"
    if all(ct):
        return (
            f"percentiles 0.5 and 99.5 of the foreground ({ends}), widened by half their distance "
            "at both ends, so that what surrounds a structure keeps its contrast"
        )
    return (
        f"from 0 to percentile 99.5 of the foreground ({ends}), so that a few hot voxels do not "
        "squeeze the rest; CT: both percentiles, widened by half their distance"
    )


def planned_polarity(facts: Fingerprint) -> tuple[bool, str]:
    """Whether pictures that are dark on light are turned, and the reason."""
    polarity = facts.polarity
    if facts.dims == 3:
        return False, "volumes are not turned"
    if polarity is None:
        return False, "no picture of both foreground and background was measured"
    dark = f"{polarity.darker:.0%} of the cases have a foreground darker than its surroundings"
    if any(m != "microscopy" for m in facts.modality):
        return False, f"only microscopy is turned ({dark})"
    if not 0 < polarity.darker < 1:
        return False, f"{dark}: one polarity, nothing to turn"
    if polarity.told < TOLD:
        return False, f"{dark}, but the image alone tells only {polarity.told:.0%} of them apart"
    return True, (
        f"{dark}, the others a lighter one: those whose median lies above the middle of their "
        f"range are turned, which is right in {polarity.told:.0%} of the cases"
    )


def planned_norm(facts: Fingerprint, normalisation: str, border: int) -> tuple[str, str]:
    """Batch norm where cases are alike and values fixed, else each case's own, and the reason.

    Without padding a patch of one value stays one in every layer, and an instance norm divides its
    gradients by nothing: group norm takes its place.

    Args:
        facts: The fingerprint.
        normalisation: Of the images.
        border: Voxels that the network's convolutions lose.
    """
    own = "group" if border else "instance"
    if facts.cases < FEWEST_CASES:
        return own, f"{facts.cases} cases: too few to know how alike they are"
    spread = f"the cases' means spread {facts.variety:g} of the spread within a case"
    if normalisation in ("window", "dataset") and facts.variety <= VARIETY_LIMIT:
        return "batch", f"{spread}, at most {VARIETY_LIMIT:g}: alike enough to share statistics"
    groups = ", in groups: an even patch is even in every unpadded layer" if border else ""
    return own, f"{spread}, {normalisation}: each case keeps its own statistics{groups}"


def check_window(given: Given | None, normalisation: str, modality: Sequence[str]) -> None:
    """Refuse a window where the normalisation takes none.

    Raises:
        InvalidValueError: Names both.
    """
    if given is not None and normalisation not in ("window", "dataset"):
        refuse_ct_window(given, modality)
        raise InvalidValueError(
            f"a window was given, but normalisation is {normalisation}",
            hint="add --normalisation window, or leave --window out",
        )
