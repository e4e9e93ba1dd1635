"""The series on whose grid structures and segmentations are drawn."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import GeometryError
from pipeline.io.dicom.geometry import LPS_TO_RAS, Planes, stacked
from pipeline.io.dicom.pixels import Frames
from pipeline.io.dicom.read import locate
from pipeline.io.options import Reading
from pipeline.io.volume import Affine


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A grid with the identities that a drawing refers to; UIDs stay in memory."""

    path: str
    found: Planes
    affine: Affine
    shape: tuple[int, int, int]
    frame_uid: str
    series_uid: str
    image_uids: frozenset[str]
    warnings: tuple[str, ...]

    @property
    def from_lps(self) -> Affine:
        """World point in DICOM's LPS mm to (column, row, slice)."""
        return np.asarray(np.linalg.inv(self.affine) @ LPS_TO_RAS, np.float64)


def read_reference(path: str | Path, reading: Reading | None = None) -> Reference:
    """Return the grid of a series; no pixel is read.

    Raises:
        DataError: As `read_dicom`.
        GeometryError: As `read_dicom`.
    """
    with closing(Frames()) as frames:
        located = locate(path, reading or Reading(), frames)
    affine, notes = stacked(located.found)
    slices = located.found.slices
    first = slices[0]
    return Reference(
        str(path),
        located.found,
        affine,
        (first.columns, first.rows, len(slices)),
        first.attributes.get("FrameOfReferenceUID", ""),
        first.attributes.get("SeriesInstanceUID", ""),
        frozenset(one.attributes.get("SOPInstanceUID", "") for one in slices),
        (*located.warnings, *notes),
    )


def check_frame(drawn: str, reference: Reference, name: object, *, force: bool) -> list[str]:
    """Return a warning where another frame of reference was accepted.

    Raises:
        GeometryError: It differs and that was not accepted.
    """
    if drawn and drawn == reference.frame_uid:
        return []
    if force:
        return ["frame of reference differs from the series: accepted"]
    what = "another frame of reference than" if drawn else "no frame of reference, unlike"
    raise GeometryError(
        f"{name}: {what} {reference.path}",
        hint="give the series it was drawn on, or --force-frame if its UIDs were replaced",
    )
