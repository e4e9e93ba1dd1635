"""Pixels of a slice: decoded, checked against the header, rescaled with the slice's own numbers."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.io.dicom_files import Slice, quiet_pydicom
from pipeline.io.values import Array, rescale

if TYPE_CHECKING:
    from pydicom.uid import UID

_DAMAGED = "fetch or export the series again"


def rescales(
    slices: Sequence[Slice], modality: str | None
) -> tuple[list[tuple[float, float]], str]:
    """Return (slope, intercept) of every slice, and a warning or "".

    Raises:
        DataError: A lookup table, a slope of 0, no number, or some slices without.
    """
    given = [_rescale(one) for one in slices]
    missing = [one for one, pair in zip(slices, given, strict=True) if pair is None]
    if missing and len(missing) < len(slices):
        raise DataError(
            f"{missing[0].path}: no rescale, while other slices of the series have one",
            hint=_DAMAGED,
        )
    pairs = [pair or (1.0, 0.0) for pair in given]
    note = "no rescale in a CT: values as stored, not HU" if missing and modality == "CT" else ""
    return pairs, note


def _rescale(one: Slice) -> tuple[float, float] | None:
    if one.header.get("ModalityLUTSequence"):
        raise DataError(f"{one.path}: a Modality LUT is not read", hint="use a rescaled series")
    values = [one.header.get(name) for name in ("RescaleSlope", "RescaleIntercept")]
    if all(value in (None, "") for value in values):
        return None
    try:
        slope, intercept = (float(value) for value in values)
    except (TypeError, ValueError):
        slope, intercept = 0.0, 0.0
    if slope == 0 or not math.isfinite(slope) or not math.isfinite(intercept):
        raise DataError(
            f"{one.path}: rescale slope {values[0]!s:.20}, intercept {values[1]!s:.20}",
            hint=_DAMAGED,
        )
    return slope, intercept


def check_storage(slices: Sequence[Slice]) -> None:
    """Refuse impossible bit layouts, and pixel matrices larger than their file, unread.

    Raises:
        DataError: One of both.
    """
    for one in slices:
        header = one.header
        allocated = int(header.get("BitsAllocated") or 0)
        stored = int(header.get("BitsStored") or allocated)
        high = int(header.get("HighBit") if header.get("HighBit") is not None else stored - 1)
        if allocated not in (8, 16, 32, 64) or not 0 < stored <= allocated or high != stored - 1:
            raise DataError(
                f"{one.path}: {stored} bits of {allocated}, highest bit {high}", hint=_DAMAGED
            )
        if min(one.rows, one.columns) < 1:
            raise DataError(f"{one.path}: {one.columns}x{one.rows} pixels", hint=_DAMAGED)
        syntax = _syntax(one)
        needed, size = one.rows * one.columns * allocated // 8, one.path.stat().st_size
        if syntax.is_transfer_syntax and not syntax.is_compressed and needed > size:
            raise DataError(
                f"{one.path}: {one.columns}x{one.rows} pixels need {needed} bytes, the file has "
                f"{size}",
                hint=_DAMAGED,
            )


def _syntax(one: Slice) -> "UID":
    """Return the transfer syntax; without a file meta header it can only be the default."""
    from pydicom.uid import UID, ImplicitVRLittleEndian

    return UID(one.header.file_meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian)


def _refuse_unknown_syntax(one: Slice) -> None:
    """Refuse what no installed decoder can read, and name the one that could."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = _syntax(one)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise DataError(
            f"{one.path}: transfer syntax {syntax} is not read", hint="decompress the series first"
        ) from None
    if not decoder.is_available:
        needs = ", ".join(decoder.missing_dependencies)
        raise DataError(
            f"{one.path}: no decoder for {syntax.name}", hint=f"install one of: {needs}"
        )


def read_slice(one: Slice, slope: float, intercept: float) -> Array:
    """Return `(columns, rows)` of one slice, rescaled, in the smallest type that holds it.

    Raises:
        DataError: Pixels missing, cut, damaged, of another size than the header says, or
            compressed in a way that no installed decoder knows.
    """
    import pydicom

    _refuse_unknown_syntax(one)
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(one.path, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = _syntax(one)
            stored: npt.NDArray[np.generic] = dataset.pixel_array
    except Exception as error:  # decoders raise whatever they trip over
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{one.path}: pixels cannot be read ({reason})", hint=_DAMAGED) from error
    if stored.shape != (one.rows, one.columns):
        raise DataError(
            f"{one.path}: decoded to {stored.shape}, the header says ({one.rows}, {one.columns})",
            hint=_DAMAGED,
        )
    return rescale(stored.T, slope, intercept)
