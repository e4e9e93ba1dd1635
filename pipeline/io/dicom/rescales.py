"""From stored values to HU: slope and intercept of that very slice, or a refusal."""

import math
from collections.abc import Sequence

from pipeline.errors import DataError
from pipeline.io.dicom.headers import DAMAGED
from pipeline.io.dicom.slices import UNITS, Slice, known, one_number

Pair = tuple[float, float]

_LARGEST = 2.0**64  # of all stored integers: times a slope it must stay a number


def rescales(slices: Sequence[Slice], modality: str | None) -> tuple[list[Pair], list[str]]:
    """Return (slope, intercept) of every slice, and warnings.

    Raises:
        DataError: A lookup table, a slope of 0, no number, or some slices without.
    """
    given = [_rescale(one, modality) for one in slices]
    missing = [one for one, pair in zip(slices, given, strict=True) if pair is None]
    if missing and len(missing) < len(slices):
        raise DataError(
            f"{missing[0].name}: no rescale, while other slices of the series have one",
            hint=DAMAGED,
        )
    warnings = []
    if missing and modality == "CT":
        warnings.append("no rescale in a CT: values as stored, not HU")
    elif any("RescaleSlope" in one.attributes for one in missing):
        warnings.append("RescaleSlope is empty: values as stored")
    units = {known(one.text("RescaleType"), UNITS) for one in slices} - {"", "HU"}
    if modality == "CT" and units:
        warnings.append(f"RescaleType is {', '.join(sorted(units))}: values are not HU")
    return [pair or (1.0, 0.0) for pair in given], warnings


def is_hu(slices: Sequence[Slice], modality: str | None) -> bool:
    """Whether the values of a series are HU as far as its headers say."""
    return modality == "CT" and all(
        one.attributes.get("RescaleSlope", "").strip() and one.text("RescaleType") in ("", "HU")
        for one in slices
    )


def _rescale(one: Slice, modality: str | None) -> Pair | None:
    if one.attributes.get("ModalityLUTSequence"):
        raise DataError(f"{one.name}: a Modality LUT is not read", hint="use a rescaled series")
    slope, intercept = one_number(one, "RescaleSlope"), one_number(one, "RescaleIntercept")
    if slope is None and _excused(one, intercept, modality):
        return None
    if not slope or intercept is None or not math.isfinite(slope * _LARGEST + intercept):
        raise DataError(
            f"{one.name}: rescale slope {_said(slope)}, intercept {_said(intercept)}", hint=DAMAGED
        )
    return slope, intercept


def _excused(one: Slice, intercept: float | None, modality: str | None) -> bool:
    """Whether the lack of a slope means none: absent, or empty in MR with nothing to add."""
    if "RescaleSlope" not in one.attributes:
        return intercept is None
    return modality == "MR" and not intercept


def _said(number: float | None) -> str:
    return "empty" if number is None else f"{number:g}"
