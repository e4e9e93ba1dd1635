"""One way in: whatever the path holds, the same three questions and the same kinds of answer."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.io.kinds import Kind, kind_of
from pipeline.io.options import Reading
from pipeline.io.volume import Header, Volume

if TYPE_CHECKING:
    from pipeline.io.dicom import LabelChoice

_FOLDER = "give the folder that holds the slices themselves"


def read_image(
    path: str | Path,
    *,
    series: str | int | None = None,
    reading: Reading | None = None,
    page: int | None = None,
) -> Volume:
    """Return an image in HU or as rescaled by its file: a volume in RAS mm, or a picture.

    Args:
        path: A NIfTI file, a picture, a DICOM file, a folder of DICOM slices, a DICOMDIR, a zip.
        series: For DICOM: number in the list that the error gives, or the UID; for a picture of
            several pages: the page.
        reading: All choices at once; `series`, where given, goes before its own.
        page: Of a picture of several, from 1.

    Raises:
        DataError: Missing, empty, unknown, damaged, or several series and none chosen.
        GeometryError: The place of its voxels is missing or contradicts itself.
    """
    chosen = _reading(series, reading)
    kind = _kind(path)
    if kind == "dicom":
        from pipeline.io.dicom import read_dicom

        return read_dicom(path, chosen)
    if kind == "nifti":
        from pipeline.io.nifti import read_nifti

        return read_nifti(path, reading=chosen)
    from pipeline.io.picture import read_picture

    return read_picture(path, page=_page(chosen.series) if page is None else page)


def _page(series: str | int | None) -> int | None:
    """Return the page that a series' number means; its UID means none."""
    if isinstance(series, int):
        return series
    return int(series) if series is not None and series.isdecimal() else None


def _reading(series: str | int | None, reading: Reading | None) -> Reading:
    given = reading or Reading()
    return given if series is None else replace(given, series=series)


def read_label(
    path: str | Path,
    *,
    channels: bool = False,
    reference: str | Path | None = None,
    choice: "LabelChoice | None" = None,
    reading: Reading | None = None,
    threshold: float | None = None,
    page: int | None = None,
) -> Volume:
    """Return a label map of whole numbers: uint8, uint16 or int32, the smallest that holds it.

    Args:
        path: A NIfTI file, a picture with one channel, an RTSTRUCT or a SEG.
        channels: Allow 4D, one channel a region.
        reference: The series that an RTSTRUCT or SEG was drawn on.
        choice: Which of its structures, and how.
        reading: Choices for the series, or for a NIfTI.
        threshold: Accept a JPEG mask of two levels, cut at this value.
        page: Of a picture of several, from 1.

    Raises:
        DataError: As `read_image`; a value between whole numbers; colours; JPEG; a DICOM image.
    """
    kind = _kind(path)
    if kind == "nifti":
        from pipeline.io.nifti import read_nifti_label

        return read_nifti_label(path, channels=channels, reading=reading)
    if kind == "picture":
        from pipeline.io.picture_label import read_picture_label

        return read_picture_label(path, threshold=threshold, page=page)
    if reference is None:
        raise DataError(
            f"{path}: a DICOM label is an RTSTRUCT or SEG file with the series it was drawn on",
            hint='give both, with --reference SERIES, in a manifest as {"rtstruct": FILE} or '
            '{"seg": FILE}, or the label as NIfTI',
        )
    from pipeline.io.dicom import LabelChoice, read_dicom_label

    wanted = choice or LabelChoice(channels=channels)
    return read_dicom_label(path, reference, wanted, reading).volume


def read_header(
    path: str | Path, *, series: str | int | None = None, reading: Reading | None = None
) -> Header:
    """Return shape, spacing, channels and stored type, without reading the values.

    Raises:
        DataError: As `read_image`.
        GeometryError: As `read_image`.
    """
    kind = _kind(path)
    if kind == "dicom":
        from pipeline.io.dicom import read_dicom_header

        return read_dicom_header(path, _reading(series, reading))
    if kind == "nifti":
        from pipeline.io.nifti import read_nifti_header

        return read_nifti_header(path, reading=reading)
    from pipeline.io.picture import read_picture_header

    return read_picture_header(path, page=_page(series))


def _kind(path: str | Path) -> Kind:
    """Return what the path holds, or refuse with what is wrong about it."""
    kind = kind_of(path)
    if kind is not None:
        return kind
    file = Path(path)
    if not os.path.exists(file):
        raise DataError(f"{path}: no such file or folder", hint="check the path")
    if not os.access(file, os.R_OK):
        raise DataError(f"{path}: no permission to read", hint="check its owner and mode")
    if file.is_dir():
        if not any(file.iterdir()):
            raise DataError(f"{path}: an empty folder", hint=_FOLDER)
        return "dicom"  # its subfolders may hold the slices
    if file.is_file() and file.stat().st_size == 0:
        raise DataError(f"{path}: an empty file", hint="fetch or export the file again")
    raise DataError(
        f"{path}: neither NIfTI, DICOM nor a picture", hint="give .nii.gz, DICOM, PNG, JPEG or TIFF"
    )
