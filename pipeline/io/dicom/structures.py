"""RTSTRUCT: contours drawn on a series, as a label map on its grid."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError, GeometryError
from pipeline.io.contours import Points, even_odd
from pipeline.io.dicom.entries import file_entry
from pipeline.io.dicom.fallback import full_header, quiet_pydicom
from pipeline.io.dicom.headers import DAMAGED
from pipeline.io.dicom.painting import LabelChoice, LabelMap, Structure, paint, select
from pipeline.io.dicom.reference import Reference, check_frame
from pipeline.io.dicom.slices import plain
from pipeline.io.tolerances import CONTOUR_TOLERANCE_SHARE, position_tolerance
from pipeline.io.volume import Volume, spacing_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

STRUCTURES_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "")


@dataclass(slots=True)
class Roi:
    """A structure's contours `(n, 3)` in LPS mm, and how many shapes were no closed contour."""

    number: int
    name: str
    frame_uid: str
    contours: list[Points] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def read_structures(path: str | Path, reference: Reference, choice: LabelChoice) -> LabelMap:
    """Return the structures of an RTSTRUCT on the grid of the series they were drawn on.

    Source:
        Even-odd rule over all closed contours of a slice, pixel centres, nearest slice.

    Raises:
        DataError: Damaged, an unknown or empty structure, names that fit several, overlaps.
        GeometryError: Another frame of reference or series; contours across the slices, or
            none within the volume.
    """
    dataset = _dataset(path)
    rois = _rois(dataset, path)
    numbers = select({roi.number: roi.name for roi in rois.values()}, choice.rois, path)
    notes = _check_references(dataset, reference, path, choice)
    structures = []
    for number in numbers:
        roi = rois[number]
        notes += check_frame(roi.frame_uid, reference, path, force=choice.force_frame)
        planes, told = _planes(roi, reference, path)
        if not roi.contours:
            if choice.rois:
                raise DataError(f"{path}: {roi.name} has no contour", hint="pick another --roi")
            told.append(f"{roi.name} has no contour: an empty mask")
        notes += told
        structures.append(Structure(number, roi.name, planes))
    array, names = paint(structures, reference.affine, reference.shape, choice, path)
    warnings = tuple(dict.fromkeys((*reference.warnings, *notes)))
    return LabelMap(Volume(array, reference.affine, None, warnings), names)


def _dataset(path: str | Path) -> "Dataset":
    try:
        dataset = full_header(file_entry(Path(path)))
    except DataError:
        raise
    except Exception as error:  # pydicom raises whatever its parser trips over
        raise DataError(f"{path}: unreadable RTSTRUCT ({error})", hint=DAMAGED) from error
    if not dataset.get("StructureSetROISequence"):
        raise DataError(f"{path}: an RTSTRUCT without structures", hint=DAMAGED)
    return dataset


def _rois(dataset: "Dataset", path: str | Path) -> dict[int, Roi]:
    try:
        with quiet_pydicom():
            rois = {}
            for item in dataset.StructureSetROISequence:
                number = int(item.ROINumber)
                frame = str(item.get("ReferencedFrameOfReferenceUID") or "")
                rois[number] = Roi(number, plain(str(item.get("ROIName") or "")), frame)
            for item in dataset.get("ROIContourSequence") or []:
                roi = rois.get(int(item.ReferencedROINumber))
                if roi is not None:
                    for contour in item.get("ContourSequence") or []:
                        _add(roi, contour)
    except Exception as error:  # pydicom raises whatever its parser trips over
        raise DataError(f"{path}: unreadable contours ({error})", hint=DAMAGED) from error
    return rois


def _add(roi: Roi, contour: "Dataset") -> None:
    kind = str(contour.get("ContourGeometricType") or "").strip().upper()
    values = np.array([float(value) for value in contour.get("ContourData") or []])
    if values.size % 3 or not np.isfinite(values).all():
        raise ValueError(f"{values.size} numbers are no points")
    points = values.reshape(-1, 3)
    if kind not in _CLOSED:
        roi.skipped[kind] += 1
    elif len(points) < 3:
        roi.skipped["contours of 1 or 2 points"] += 1
    else:
        roi.contours.append(points)


def _check_references(
    dataset: "Dataset", reference: Reference, path: str | Path, choice: LabelChoice
) -> list[str]:
    """Return warnings; refuse structures of another series."""
    try:
        with quiet_pydicom():
            series, images = _referenced(dataset)
    except Exception as error:  # pydicom raises whatever its parser trips over
        raise DataError(f"{path}: unreadable references ({error})", hint=DAMAGED) from error
    if series - {""} and reference.series_uid not in series:
        if not choice.force_frame:
            raise GeometryError(
                f"{path}: drawn on another series than {reference.path}",
                hint="give the series it was drawn on, or --force-frame if its UIDs were replaced",
            )
        return ["drawn on another series: accepted"]
    if images - {""} and not images & reference.image_uids:
        return ["its references name no slice of the series: contours placed by coordinates"]
    return []


def _referenced(dataset: "Dataset") -> tuple[set[str], set[str]]:
    """Return the UIDs of the series and of the images that a drawing refers to."""
    series: set[str] = set()
    images: set[str] = set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for one in study.get("RTReferencedSeriesSequence") or []:
                series.add(str(one.get("SeriesInstanceUID") or ""))
                for image in one.get("ContourImageSequence") or []:
                    images.add(str(image.get("ReferencedSOPInstanceUID") or ""))
    return series, images


def _planes(
    roi: Roi, reference: Reference, path: str | Path
) -> tuple[dict[int, npt.NDArray[np.bool_]], list[str]]:
    """Return the masks of a structure by slice, and what is unusual about its contours."""
    by_slice: dict[int, list[Points]] = defaultdict(list)
    spacing = spacing_of(reference.affine)[2]
    count = reference.shape[2]
    outside = off = 0
    matrix = reference.from_lps
    for points in roi.contours:
        index = points @ matrix[:3, :3].T + matrix[:3, 3]
        depth = index[:, 2]
        if float(np.ptp(depth)) * spacing > 2 * position_tolerance(spacing):
            raise GeometryError(
                f"{path}: a contour of {roi.name} runs through {np.ptp(depth) * spacing:.2f} mm "
                "across the slices of the series",
                hint="give the series it was drawn on",
            )
        middle = float(depth.mean())
        if not -0.5 <= middle <= count - 0.5:
            outside += 1
            continue
        nearest = min(max(round(middle), 0), count - 1)
        off += abs(middle - nearest) > CONTOUR_TOLERANCE_SHARE
        by_slice[nearest].append(index[:, :2])
    if outside and outside == len(roi.contours):
        raise GeometryError(
            f"{path}: all {outside} contours of {roi.name} lie outside the series",
            hint="give the series it was drawn on",
        )
    notes = _notes(roi, outside, off, sorted(by_slice))
    masks = {k: even_odd(parts, reference.shape[:2]) for k, parts in sorted(by_slice.items())}
    return masks, notes


def _notes(roi: Roi, outside: int, off: int, used: list[int]) -> list[str]:
    notes = [f"{roi.name}: {count} x {kind} skipped" for kind, count in roi.skipped.items()]
    if outside:
        notes.append(f"{roi.name}: {outside} contours outside the series left out")
    if off:
        notes.append(f"{roi.name}: {off} contours off the slice planes drawn on the nearest slice")
    gaps = len(range(used[0], used[-1] + 1)) - len(used) if used else 0
    if gaps:
        notes.append(f"{roi.name}: {gaps} slices without a contour between slices with one")
    return notes
