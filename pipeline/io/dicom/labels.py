"""Telling an RTSTRUCT from a SEG, and reading either on the grid of its series."""

import os
from pathlib import Path

from pipeline.errors import DataError
from pipeline.io.dicom.entries import file_entry
from pipeline.io.dicom.headers import Header, scan_entries
from pipeline.io.dicom.painting import LabelChoice, LabelMap
from pipeline.io.dicom.reference import read_reference
from pipeline.io.dicom.segmentation import SEGMENTATION_CLASSES, read_segmentation
from pipeline.io.dicom.structures import STRUCTURES_CLASS, read_structures
from pipeline.io.kinds import is_dicom_file
from pipeline.io.options import Reading


def _header(path: Path) -> Header | None:
    if not os.path.isfile(path) or not is_dicom_file(path):
        return None
    scan = scan_entries([file_entry(path)])
    return next(iter((*scan.images, *scan.others)), None)


def is_dicom_label(path: str | Path) -> bool:
    """Whether a file is an RTSTRUCT or a SEG.

    Raises:
        DataError: A DICOM file whose header breaks off.
    """
    header = _header(Path(path))
    return header is not None and header.sop_class in (STRUCTURES_CLASS, *SEGMENTATION_CLASSES)


def read_dicom_label(
    path: str | Path,
    reference: str | Path,
    choice: LabelChoice | None = None,
    reading: Reading | None = None,
) -> LabelMap:
    """Return the structures of an RTSTRUCT or the segments of a SEG on a series' grid.

    Args:
        path: The RTSTRUCT or SEG file.
        reference: The series it was drawn on.
        choice: Which structures, and how.
        reading: Choices for the series.

    Raises:
        DataError: Neither of both, damaged, unknown or overlapping structures.
        GeometryError: Drawn on another series, frame of reference or grid.
    """
    header = _header(Path(path))
    kind = header.sop_class if header else ""
    if kind != STRUCTURES_CLASS and kind not in SEGMENTATION_CLASSES:
        raise DataError(
            f"{path}: neither RTSTRUCT nor SEG", hint="give the file that holds the structures"
        )
    grid = read_reference(reference, reading)
    read = read_structures if kind == STRUCTURES_CLASS else read_segmentation
    return read(path, grid, choice or LabelChoice())
