"""Small DICOM series with boxes drawn on them, as RTSTRUCT and as SEG, and sets of these."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from tests import tiny

RTSTRUCT, SEG = UID("1.2.840.10008.5.1.4.1.1.481.3"), UID("1.2.840.10008.5.1.4.1.1.66.4")
SPACING = (1.0, 1.0, 1.5)

Mask = npt.NDArray[np.bool_]


def blank(sop_class: UID, uid: str) -> FileDataset:
    """A data set with the UIDs of the one series and frame of reference."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID, one.StudyInstanceUID = sop_class, UID(uid), UID("1.2")
    one.FrameOfReferenceUID = UID("1.2.9")
    return one


def position(k: int) -> list[float]:
    """Of a slice."""
    return [-10.0, 20.0, -30.0 + SPACING[2] * k]


def write_series(
    folder: Path,
    hu: npt.NDArray[np.int16],
    *,
    patient: str = "none",
    without: tuple[str, ...] = (),
    **attributes: Any,
) -> Path:
    """Write `hu` (i, j, k) as single-frame CT; `attributes` go into every slice."""
    folder.mkdir(parents=True)
    for k in range(hu.shape[2]):
        one = blank(CTImageStorage, f"1.2.3.{k + 1}")
        one.SeriesInstanceUID, one.PatientID, one.Modality = UID("1.2.3"), patient, "CT"
        one.ImagePositionPatient = position(k)
        one.ImageOrientationPatient, one.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
        one.Columns, one.Rows = hu.shape[:2]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        for name, value in attributes.items():
            setattr(one, name, value)
        for name in without:
            delattr(one, name)
        one.PixelData = hu[:, :, k].T.astype("<i2").tobytes()
        dcmwrite(folder / f"{k}.dcm", one)
    return folder


def write_rtstruct(path: Path, masks: Mapping[str, Mask]) -> Path:
    """Write masks `(i, j, k)` of boxes as contours, half a voxel around their corner voxels."""
    one = blank(RTSTRUCT, "1.2.77")
    listed, drawn = [], []
    for number, (name, mask) in enumerate(masks.items(), 1):
        roi, item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, "1.2.9"
        item.ReferencedROINumber = number
        item.ContourSequence = Sequence(
            [_contour(mask[:, :, k], k) for k in range(mask.shape[2]) if mask[:, :, k].any()]
        )
        listed.append(roi)
        drawn.append(item)
    one.StructureSetROISequence, one.ROIContourSequence = Sequence(listed), Sequence(drawn)
    dcmwrite(path, one)
    return path


def _contour(plane: Mask, k: int) -> Dataset:
    (i0, j0), (i1, j1) = np.argwhere(plane).min(0) - 0.5, np.argwhere(plane).max(0) + 0.5
    x, y, z = position(k)
    item = Dataset()
    item.ContourGeometricType, item.NumberOfContourPoints = "CLOSED_PLANAR", 4
    corners = [(i0, j0), (i1, j0), (i1, j1), (i0, j1)]
    item.ContourData = [float(v) for i, j in corners for v in (x + i, y + j, z)]
    return item


def write_seg(path: Path, masks: Mapping[str, Mask]) -> Path:
    """Write masks `(i, j, k)` as a binary SEG without its empty frames."""
    one = blank(SEG, "1.2.88")
    one.SeriesInstanceUID, one.PatientID, one.Modality = UID("1.2.4"), "none", "SEG"
    one.SegmentationType = "BINARY"
    one.Columns, one.Rows = next(iter(masks.values())).shape[:2]
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = (
        1,
        "MONOCHROME2",
        0,
    )
    one.BitsAllocated, one.BitsStored, one.HighBit = 1, 1, 0
    segments, frames, planes = [], [], []
    for number, (name, mask) in enumerate(masks.items(), 1):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, name
        segments.append(segment)
        for k in np.flatnonzero(mask.any((0, 1))).tolist():
            place = _item(ImagePositionPatient=position(k))
            meant = _item(ReferencedSegmentNumber=number)
            groups = {"PlanePositionSequence": place, "SegmentIdentificationSequence": meant}
            frames.append(_item(**{name: Sequence([group]) for name, group in groups.items()}))
            planes.append(mask[:, :, k].T.ravel())
    one.SegmentSequence, one.NumberOfFrames = Sequence(segments), len(frames)
    measures = _item(PixelSpacing=list(SPACING[:2]), SliceThickness=SPACING[2])
    turned = _item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    groups = {"PixelMeasuresSequence": measures, "PlaneOrientationSequence": turned}
    shared = _item(**{name: Sequence([group]) for name, group in groups.items()})
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    one.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data = pack_bits(np.concatenate(planes).astype(np.uint8))
    one.PixelData = data + b"\0" * (len(data) % 2)
    one["PixelData"].VR = "OB"
    dcmwrite(path, one)
    return path


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def write_drawn_set(
    folder: Path, kind: str, parts: tuple[str, ...] = tiny.PARTS, **header: Any
) -> Path:
    """Write the cases of `tiny.write_set` as series with drawings; return the manifest's path.

    The lesion lies in the organ, so that the one overlaps the other. `header`: of the slices.
    """
    rng = np.random.default_rng(7)
    cases = []
    for number, part in enumerate(parts):
        image, label = tiny.drawn(rng, tiny.SHAPE)
        write_series(folder / f"c{number}" / "ct", image, patient=f"p{number}", **header)
        masks = {"Organ": label > 0, "lesion": label == 4}
        file = folder / f"c{number}" / "drawing.dcm"
        (write_rtstruct if kind == "rtstruct" else write_seg)(file, masks)
        drawing = {kind: f"c{number}/drawing.dcm", "priority": ["lesion"]}
        image_path = f"c{number}/ct"
        cases.append({"id": f"c{number}", "image": image_path, "label": drawing, "split": part})
    content = {"name": "drawn", "modality": "CT", **tiny.KINDS["labels"], "cases": cases}
    path = folder / "drawn.json"
    path.write_text(json.dumps(content))
    return path


def drawn_labels(parts: tuple[str, ...] = tiny.PARTS) -> list[npt.NDArray[np.uint8]]:
    """The label maps `(i, j, k)` of the cases that `write_drawn_set` writes."""
    rng = np.random.default_rng(7)
    return [tiny.drawn(rng, tiny.SHAPE)[1] for _ in parts]
