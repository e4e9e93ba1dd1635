"""A DICOM series of single-frame slices as one volume, or a refusal that says why."""

from pathlib import Path

import numpy as np

from pipeline.io.dicom_files import scan_files
from pipeline.io.dicom_geometry import Stack, stack
from pipeline.io.dicom_pixels import check_storage, read_slice, rescales
from pipeline.io.dicom_series import Series, choose_series
from pipeline.io.values import Array, widest
from pipeline.io.volume import Header, Volume, spacing_of


def _located(path: str | Path, series: str | int | None) -> tuple[Series, Stack]:
    chosen = choose_series(scan_files(path), path, series)
    return chosen, stack(chosen.slices)


def read_dicom(path: str | Path, *, series: str | int | None = None) -> Volume:
    """Return a series `(column, row, slice)` after rescale (HU for CT), slices by position.

    Args:
        path: A folder of slices, or one file.
        series: Number in the list that the error gives, or SeriesInstanceUID.

    Raises:
        DataError: No image, several series and none chosen, damaged or unreadable pixels.
        GeometryError: The slices do not form one even grid.
    """
    chosen, located = _located(path, series)
    check_storage(located.slices)
    pairs, note = rescales(located.slices, chosen.modality)
    parts: list[Array] = [
        read_slice(one, *pair) for one, pair in zip(located.slices, pairs, strict=True)
    ]
    array: Array = np.empty(
        (*parts[0].shape, len(parts)), widest({part.dtype for part in parts}), order="F"
    )
    for index, part in enumerate(parts):
        array[..., index] = part
    warnings = (*chosen.warnings, *located.warnings, *((note,) if note else ()))
    return Volume(array, located.affine, chosen.modality, warnings)


def read_dicom_header(path: str | Path, *, series: str | int | None = None) -> Header:
    """Return the grid of a series; no pixel is read.

    Raises:
        DataError: As `read_dicom`.
        GeometryError: As `read_dicom`.
    """
    chosen, located = _located(path, series)
    first = located.slices[0]
    signed = int(first.header.get("PixelRepresentation") or 0)
    dtype = f"{'' if signed else 'u'}int{int(first.header.get('BitsAllocated') or 16)}"
    shape = (first.columns, first.rows, len(located.slices))
    return Header(shape, spacing_of(located.affine), 1, dtype, located.affine, chosen.modality)
