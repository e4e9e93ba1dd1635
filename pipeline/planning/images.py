"""The part of a plan that says what is done to intensities."""

from collections.abc import Sequence
from typing import Any

from pipeline.planning.choice import USER, Choice, check_known
from pipeline.planning.facts import Fingerprint
from pipeline.planning.intensities import CONTRASTS, FIXED, NORMALISATIONS
from pipeline.planning.normalisation import (
    check_window,
    planned_normalisation,
    planned_polarity,
    planned_window,
)


def image_values(facts: Fingerprint, choice: Choice) -> dict[str, Any]:
    """Return channels, polarity, normalisation with its numbers, and contrast.

    Raises:
        UnknownNameError: An unknown window, normalisation or contrast.
        InvalidValueError: A window that does not go with the normalisation or the modality.
    """
    if facts.mixed:
        choice.why["channels"] = "grey pictures and coloured ones: the grey value three times"
    polarity = choice.value("polarity", lambda: planned_polarity(facts))
    chosen = choice.name(
        "normalisation", lambda: planned_normalisation(facts), tuple(NORMALISATIONS)
    )
    window = _window(facts, chosen, choice)
    contrast = choice.user.contrast
    if contrast is not None:
        check_known("contrast", contrast, tuple(CONTRASTS))
        choice.why["contrast"] = USER
    return {
        "channels": facts.channels if facts.mixed else None,
        "polarity": bool(polarity),
        "normalisation": chosen,
        "window": window,
        "statistics": _statistics(facts, chosen, window, choice),
        "contrast": contrast,
    }


def _window(facts: Fingerprint, chosen: str, choice: Choice) -> Any:
    """Intervals for the normalisations that take them."""
    given, forced = choice.user.window, choice.user.normalisation is not None
    if chosen not in FIXED:
        check_window(given, chosen, facts.modality)
        if not forced:  # a name in the manifest that the modality does not bear
            check_window(
                facts.window if isinstance(facts.window, str) else None, chosen, facts.modality
            )
        return None
    known = given if given is not None else facts.window
    window, why = planned_window(facts, chosen, known, forced=forced)
    choice.why["window"] = USER if given is not None else why
    return window


def _statistics(
    facts: Fingerprint, chosen: str, window: Sequence[Any] | None, choice: Choice
) -> tuple[tuple[float, float], ...] | None:
    """Mean and deviation for each interval of `dataset`."""
    if chosen != "dataset" or window is None:
        return None
    choice.why["statistics"] = "mean and deviation of the foreground of the training cases"
    pairs = [(i.mean, i.std) for i in facts.intensity]
    return tuple(pairs * len(window) if len(pairs) == 1 else pairs)
