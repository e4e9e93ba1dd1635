"""Rows D94 to D99: DICOM SEG as labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import UID

from pipeline.errors import DataError, GeometryError
from pipeline.io import LabelChoice, is_dicom_label, read_dicom_label, read_image, read_label

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
SHAPE = (7, 5, 6)
SEG, LABELMAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
Frame = tuple[int, list[float], Any]


def group(parent: Dataset, sequence: str, **attributes: Any) -> None:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    setattr(parent, sequence, Sequence([item]))


def place(k: float, i: float = 0, j: float = 0) -> list[float]:
    """Position of a frame on the test's series: .5 x .75 x 2 mm."""
    return [-10 + 0.5 * i, 20 + 0.75 * j, -30 + 2.0 * k]


def segmentation(
    path: Path,
    frames: list[Frame],
    names: tuple[str, ...] = ("liver",),
    *,
    kind: str = "BINARY",
    frame_uid: str = "1.2.9",
    spacing: tuple[float, float] = (0.75, 0.5),
    cosines: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
) -> Path:
    """A SEG of frames (segment, position, (columns, rows) values)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(LABELMAP if kind == "LABELMAP" else SEG)
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.88")
    meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3.88"
    one.StudyInstanceUID, one.SeriesInstanceUID = "1.2", "1.2.88"
    one.PatientID, one.Modality = "none", "SEG"
    one.FrameOfReferenceUID, one.SegmentationType = frame_uid, kind
    one.Columns, one.Rows = frames[0][2].shape
    one.NumberOfFrames, one.SamplesPerPixel = len(frames), 1
    one.PhotometricInterpretation, one.PixelRepresentation = "MONOCHROME2", 0
    bits = 1 if kind == "BINARY" else 8
    one.BitsAllocated, one.BitsStored, one.HighBit = bits, bits, bits - 1
    if kind == "FRACTIONAL":
        one.MaximumFractionalValue, one.SegmentationFractionalType = 200, "PROBABILITY"
    segments = []
    for number, name in enumerate(names, 1):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, name
        segments.append(segment)
    one.SegmentSequence = Sequence(segments)
    shared, groups = Dataset(), []
    group(shared, "PixelMeasuresSequence", PixelSpacing=list(spacing), SliceThickness=2)
    group(shared, "PlaneOrientationSequence", ImageOrientationPatient=list(cosines))
    for number, position, _ in frames:
        frame = Dataset()
        group(frame, "PlanePositionSequence", ImagePositionPatient=position)
        if kind != "LABELMAP":
            group(frame, "SegmentIdentificationSequence", ReferencedSegmentNumber=number)
        groups.append(frame)
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    one.PerFrameFunctionalGroupsSequence = Sequence(groups)
    values = np.concatenate([np.asarray(mask).T.ravel() for _, _, mask in frames])
    data = pack_bits(values.astype(np.uint8)) if bits == 1 else values.astype(np.uint8).tobytes()
    one.PixelData = data + b"\0" * (len(data) % 2)
    one["PixelData"].VR = "OB"
    dcmwrite(path, one)
    return path


@pytest.fixture
def ct(tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save) -> Path:
    return save_slices(tmp_path / "ct", make_slices(hu))


@pytest.fixture
def masks() -> Any:
    return np.random.default_rng(3).random((2, *SHAPE)) > 0.6


def read(path: Path, ct: Path, *rois: str | int, **options: Any) -> Any:
    return read_dicom_label(path, ct, LabelChoice(rois=rois, **options))


def test_d94_sparse_frames_lie_by_position_and_the_rest_is_0(
    tmp_path: Path, ct: Path, masks: Any
) -> None:
    order = [4, 1, 3]
    seg = segmentation(tmp_path / "seg.dcm", [(1, place(k), masks[0, :, :, k]) for k in order])
    assert is_dicom_label(seg)
    found = read(seg, ct)
    expected = np.zeros(SHAPE, np.uint8)
    expected[..., order] = masks[0][..., order]
    assert np.array_equal(found.volume.array, expected)
    assert found.names == {"liver": 1}
    assert found.volume.warnings == ()
    affine = read_image(ct).affine
    assert found.volume.affine == pytest.approx(affine)
    assert np.array_equal(read_label(seg, reference=ct).array, expected)


def test_d94_a_cropped_or_mirrored_frame_lies_where_its_position_says(
    tmp_path: Path, ct: Path, masks: Any
) -> None:
    part = masks[0, 2:6, 1:4, 2]
    cropped = segmentation(tmp_path / "a.dcm", [(1, place(2, 2, 1), part)])
    expected = np.zeros(SHAPE, np.uint8)
    expected[2:6, 1:4, 2] = part
    assert np.array_equal(read(cropped, ct).volume.array, expected)
    turned = segmentation(
        tmp_path / "b.dcm", [(1, place(2, 5, 3), part[::-1, ::-1])], cosines=(-1, 0, 0, 0, -1, 0)
    )
    assert np.array_equal(read(turned, ct).volume.array, expected)


def test_d94_frames_outside_the_series_are_counted(tmp_path: Path, ct: Path, masks: Any) -> None:
    frames = [(1, place(k), masks[0, :, :, 2]) for k in (5, 6, 7)]
    found = read(segmentation(tmp_path / "seg.dcm", frames), ct)
    assert found.volume.warnings == ("2 frames outside the series left out",)
    with pytest.raises(GeometryError, match="all 2 frames"):
        read(segmentation(tmp_path / "out.dcm", frames[1:]), ct)


@pytest.mark.parametrize(("threshold", "least"), [(0.5, 100), (0.25, 50)])
def test_d95_fractional_segments_are_cut_at_the_threshold_and_told(
    threshold: float, least: int, tmp_path: Path, ct: Path
) -> None:
    values = np.arange(35).reshape(7, 5) * 5 + 15
    seg = segmentation(tmp_path / "seg.dcm", [(1, place(3), values)], kind="FRACTIONAL")
    found = read(seg, ct, threshold=threshold)
    assert np.array_equal(found.volume.array[..., 3], values >= least)
    assert f"a share of {threshold:g}" in found.volume.warnings[0]


def overlapping(path: Path, masks: Any) -> Path:
    frames = [(n + 1, place(k), masks[n, :, :, k]) for n in range(2) for k in range(6)]
    return segmentation(path, frames, ("liver", "tumour"))


def test_d96_overlapping_segments_need_an_order_or_channels(
    tmp_path: Path, ct: Path, masks: Any
) -> None:
    seg = overlapping(tmp_path / "seg.dcm", masks)
    count = int((masks[0] & masks[1]).sum())
    with pytest.raises(DataError, match=f"liver and tumour overlap in {count} voxels"):
        read(seg, ct)
    array = read(seg, ct, priority=("liver",)).volume.array
    assert np.array_equal(array == 1, masks[0])
    assert np.array_equal(array == 2, masks[1] & ~masks[0])
    channels = read(seg, ct, channels=True).volume.array
    assert np.array_equal(channels, np.moveaxis(masks, 0, -1))
    assert np.array_equal(read(seg, ct, "tumour").volume.array, masks[1])


def test_d97_a_label_map_segmentation_is_right(tmp_path: Path, ct: Path) -> None:
    labels = np.random.default_rng(5).integers(0, 4, SHAPE)
    frames = [(0, place(k), labels[..., k]) for k in (5, 0, 1, 2, 4, 3)]
    seg = segmentation(tmp_path / "seg.dcm", frames, ("a", "b", "c"), kind="LABELMAP")
    found = read(seg, ct)
    assert np.array_equal(found.volume.array, labels)
    assert found.names == {"a": 1, "b": 2, "c": 3}
    assert np.array_equal(read(seg, ct, "c").volume.array, labels == 3)


def test_d98_another_grid_is_refused_unless_resampling_is_asked_for(
    tmp_path: Path, ct: Path
) -> None:
    # voxels twice as wide: each covers two columns of the series
    coarse = np.random.default_rng(6).random((4, 5, 6)) > 0.5
    frames = [(1, [-9.75, 20, -30 + 2.0 * k], coarse[..., k]) for k in (3, 1, 0, 2, 5, 4)]
    seg = segmentation(tmp_path / "seg.dcm", frames, spacing=(0.75, 1.0))
    with pytest.raises(GeometryError, match="another grid") as error:
        read(seg, ct)
    assert "--resample" in error.value.hint
    found = read(seg, ct, resample=True)
    assert np.array_equal(found.volume.array, np.repeat(coarse, 2, axis=0)[:7])
    assert "nearest neighbour" in found.volume.warnings[0]


def test_d99_another_frame_of_reference_is_refused(tmp_path: Path, ct: Path, masks: Any) -> None:
    frames = [(1, place(2), masks[0, :, :, 2])]
    seg = segmentation(tmp_path / "seg.dcm", frames, frame_uid="1.2.10")
    with pytest.raises(GeometryError, match="another frame of reference"):
        read(seg, ct)
    assert "accepted" in read(seg, ct, force_frame=True).volume.warnings[0]


def test_a_segmentation_is_no_scan_and_beside_one_it_is_left_out(
    tmp_path: Path, ct: Path, hu: Any, masks: Any
) -> None:
    seg = overlapping(tmp_path / "seg.dcm", masks)
    with pytest.raises(DataError, match="no scan") as error:
        read_image(seg)
    assert "--reference" in error.value.hint
    overlapping(ct / "seg", masks)
    assert np.array_equal(read_image(ct).array, hu)


def test_damaged_segmentations_are_refused(tmp_path: Path, ct: Path, masks: Any) -> None:
    seg = overlapping(tmp_path / "seg.dcm", masks)
    whole = seg.read_bytes()
    for keep in (-1, -30, 900, 500):
        seg.write_bytes(whole[:keep])
        with pytest.raises(DataError, match=r"seg\.dcm"):
            read(seg, ct)
