"""What an RTSTRUCT or SEG says of itself before it is drawn: its structures and its series."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.errors import DataError
from pipeline.io.dicom.entries import file_entry
from pipeline.io.dicom.fallback import full_header, quiet_pydicom
from pipeline.io.dicom.headers import DAMAGED, scan_entries
from pipeline.io.dicom.segmentation import SEGMENTATION_CLASSES
from pipeline.io.dicom.slices import plain
from pipeline.io.dicom.structures import STRUCTURES_CLASS
from pipeline.io.kinds import is_dicom_file

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Description:
    """An RTSTRUCT or SEG.

    Args:
        kind: Which of both.
        names: Its structures, those without a contour left out.
        series: UIDs of the series that it was drawn on, as far as it says so.
    """

    kind: Literal["rtstruct", "seg"]
    names: tuple[str, ...]
    series: frozenset[str]


def describe_drawing(path: str | Path) -> Description | None:
    """Return what an RTSTRUCT or SEG says of itself; None for any other file.

    Raises:
        DataError: A damaged one.
    """
    file = Path(path)
    if not file.is_file() or not is_dicom_file(file):
        return None
    scan = scan_entries([file_entry(file)])
    header = next(iter((*scan.images, *scan.others)), None)
    if header is None or header.sop_class not in (STRUCTURES_CLASS, *SEGMENTATION_CLASSES):
        return None
    try:
        with quiet_pydicom():
            dataset = full_header(header.entry)
            if header.sop_class == STRUCTURES_CLASS:
                return Description("rtstruct", _roi_names(dataset), _drawn_on(dataset))
            return Description("seg", _segment_names(dataset), _segmented(dataset))
    except Exception as error:  # pydicom raises whatever its parser trips over
        raise DataError(f"{path}: unreadable structures ({error})", hint=DAMAGED) from error


def series_uids(folder: str | Path) -> frozenset[str]:
    """Return the UIDs of the series whose files lie in a folder itself.

    Raises:
        DataError: A DICOM file whose header breaks off.
    """
    files = [file for file in sorted(Path(folder).iterdir()) if file.is_file()]
    scan = scan_entries([file_entry(file) for file in files if is_dicom_file(file)])
    return frozenset(h.attributes.get("SeriesInstanceUID", "") for h in scan.images) - {""}


def _roi_names(dataset: "Dataset") -> tuple[str, ...]:
    """Names of the structures that have a contour."""
    drawn = {
        int(item.ReferencedROINumber)
        for item in dataset.get("ROIContourSequence") or []
        if item.get("ContourSequence")
    }
    rois = dataset.get("StructureSetROISequence") or []
    return tuple(plain(str(r.get("ROIName") or "")) for r in rois if int(r.ROINumber) in drawn)


def _segment_names(dataset: "Dataset") -> tuple[str, ...]:
    """Names of the segments; number 0 is the background of a label map."""
    return tuple(
        plain(str(item.get("SegmentLabel") or ""))
        for item in dataset.get("SegmentSequence") or []
        if int(item.SegmentNumber)
    )


def _drawn_on(dataset: "Dataset") -> frozenset[str]:
    """Series that an RTSTRUCT refers to."""
    return frozenset(
        str(series.SeriesInstanceUID)
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []
        for study in frame.get("RTReferencedStudySequence") or []
        for series in study.get("RTReferencedSeriesSequence") or []
        if series.get("SeriesInstanceUID")
    )


def _segmented(dataset: "Dataset") -> frozenset[str]:
    """Series that a SEG refers to."""
    return frozenset(
        str(series.SeriesInstanceUID)
        for series in dataset.get("ReferencedSeriesSequence") or []
        if series.get("SeriesInstanceUID")
    )
