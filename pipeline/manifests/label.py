"""A label is a file of integers, or structures of an RTSTRUCT or SEG drawn on the case's image."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.errors import DataError
from pipeline.io import Reading, Volume, kind_of, read_header, read_label
from pipeline.manifests.parts import PartsLabel, PictureLabel

Kind = Literal["rtstruct", "seg"]


@dataclass(frozen=True, slots=True)
class DrawnLabel:
    """Structures of a DICOM file that become a label map on the grid of a series.

    Args:
        kind: `rtstruct` or `seg`.
        file: The RTSTRUCT or SEG.
        image: The series that it was drawn on.
        structures: Names or numbers of the structures.
        integers: What each of them is in the label map.
        series: Number or UID of the series, where `image` holds several.
        threshold: Share from which on a voxel of a fractional SEG counts.
        priority: Structures, the strongest first, where some overlap; none: overlaps are refused.
        force_frame: Accept another frame of reference or series.
        resample: Bring a SEG from another grid by nearest neighbour.
    """

    kind: Kind
    file: Path
    image: Path
    structures: tuple[str | int, ...]
    integers: tuple[int, ...]
    series: str | int | None = None
    threshold: float = 0.5
    priority: tuple[str, ...] = ()
    force_frame: bool = False
    resample: bool = False

    def read(self) -> Volume:
        """Return the label map `(i, j, k)` on the grid of the series.

        Raises:
            DataError: The file or the series is missing or damaged, a structure is unknown, empty
                or overlaps another.
            GeometryError: Drawn on another series, frame of reference or grid.
        """
        if self.image.is_file() and kind_of(self.image) != "dicom":
            raise DataError(
                f"{self.file}: drawn on a DICOM series, and the case's image {self.image} is none",
                hint="give the series as the image, or the label as NIfTI: "
                "unetworks convert FILE OUT.nii.gz --reference SERIES",
            )
        if not self.structures:  # the case has none of them: background
            header = read_header(self.image, series=self.series)
            return Volume(np.zeros(header.shape, np.uint8), header.affine)
        from pipeline.io import LabelChoice, read_dicom_label

        choice = LabelChoice(
            rois=self.structures,
            integers=self.integers,
            threshold=self.threshold,
            priority=self.priority,
            force_frame=self.force_frame,
            resample=self.resample,
        )
        reading = Reading(series=self.series)
        return read_dicom_label(self.file, self.image, choice, reading).volume

    def facts(self) -> dict[str, Any]:
        """Return what makes the label map, without any path; for hashes."""
        plain = self.to_row()
        return {key: value for key, value in plain.items() if key not in (self.kind, "image")}

    def to_row(self) -> dict[str, Any]:
        """Return the plain form, as a data list holds it."""
        row: dict[str, Any] = {
            self.kind: str(self.file),
            "image": str(self.image),
            "structures": [str(one) for one in self.structures],
            "integers": list(self.integers),
        }
        if self.series is not None:
            row["series"] = self.series
        if self.threshold != 0.5:
            row["threshold"] = self.threshold
        if self.priority:
            row["priority"] = list(self.priority)
        flags = {"force_frame": self.force_frame, "resample": self.resample}
        return row | {name: True for name, given in flags.items() if given}


Label = Path | DrawnLabel | PartsLabel | PictureLabel
"""Where a label is: a file of integers, a drawing, masks of parts, or a picture of colours."""


def label_of_row(row: str | Path | Mapping[str, Any]) -> Label:
    """Undo what a data list holds: a path, or the plain form of another label.

    The numbers of a row may have become tensors on the way through a loader.
    """
    if not isinstance(row, Mapping):
        return Path(row)
    if "parts" in row:
        return PartsLabel.from_row(row)
    if "picture" in row:
        return PictureLabel.from_row(row)
    kind: Kind = "rtstruct" if "rtstruct" in row else "seg"
    series = row.get("series")
    return DrawnLabel(
        kind,
        Path(row[kind]),
        Path(row["image"]),
        tuple(row["structures"]),
        tuple(int(n) for n in row["integers"]),
        series if series is None or isinstance(series, str) else int(series),
        float(row.get("threshold", 0.5)),
        tuple(row.get("priority", ())),
        bool(row.get("force_frame", False)),
        bool(row.get("resample", False)),
    )


def row_of_label(label: Label) -> str | dict[str, Any]:
    """Return what a data list holds of a label: its path, or its plain form."""
    return str(label) if isinstance(label, Path) else label.to_row()


def file_of_label(label: Label) -> Path:
    """Return the file that a label is read from; of several masks the first, or their folder."""
    if isinstance(label, Path):
        return label
    return label.files[0] if isinstance(label, PartsLabel) else label.file


def files_of_label(label: Label) -> tuple[Path, ...]:
    """Return all files that a label is read from; an empty folder of masks stands for itself."""
    if isinstance(label, PartsLabel):
        return tuple(file for file, _ in label.masks) or label.files
    return (file_of_label(label),)


def load_label(label: Label, *, channels: bool = False) -> Volume:
    """Return a label map of whole numbers, whatever its file.

    Args:
        label: A path, or another form.
        channels: Allow a 4D file, one channel a region.

    Raises:
        DataError: As `pipeline.io.read_label`, or as the `read` of another form.
        GeometryError: As the `read` of another form.
    """
    return read_label(label, channels=channels) if isinstance(label, Path) else label.read()
