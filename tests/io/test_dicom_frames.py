"""Rows D70 to D77: enhanced multi-frame objects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from pipeline.errors import DataError, GeometryError
from pipeline.io import Reading, read_header, read_image

Make = Callable[..., list[Any]]
Placed = Callable[..., bool]
CT, MR = "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4.1"


def group(parent: Dataset, sequence: str, **attributes: Any) -> None:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    setattr(parent, sequence, Sequence([item]))


def enhanced(slices: list[Any], *, shared_orientation: bool = True, sop: str = CT) -> Any:
    """One multi-frame object of single-frame slices, in their order."""
    one = slices[0]
    shared, frames = Dataset(), []
    rescale = {"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"}
    cosines = {"ImageOrientationPatient": one.ImageOrientationPatient}
    group(shared, "PixelMeasuresSequence", PixelSpacing=one.PixelSpacing, SliceThickness=9)
    if shared_orientation:
        group(shared, "PlaneOrientationSequence", **cosines)
        group(shared, "PixelValueTransformationSequence", **rescale)
    for number, each in enumerate(slices):
        frame = Dataset()
        group(frame, "FrameContentSequence", StackID="1", InStackPositionNumber=number + 1)
        group(frame, "PlanePositionSequence", ImagePositionPatient=each.ImagePositionPatient)
        if not shared_orientation:
            group(frame, "PlaneOrientationSequence", **cosines)
            group(frame, "PixelValueTransformationSequence", **rescale)
        frames.append(frame)
    one.PixelData = b"".join(each.PixelData for each in slices)
    for keyword in (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
        "RescaleSlope", "RescaleIntercept",
    ):  # fmt: skip
        delattr(one, keyword)
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = UID(sop)
    one.Modality = "CT" if sop == CT else "MR"
    one.NumberOfFrames = len(slices)
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    one.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return one


def frames_of(one: Any) -> Any:
    return one.PerFrameFunctionalGroupsSequence


def write(folder: Path, *objects: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for number, one in enumerate(objects):
        dcmwrite(folder / f"{number}.dcm", one)
    return folder


ORIENTATIONS = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "oblique": ((0.8, 0.6, 0), (-0.36, 0.48, 0.8)),
}


@pytest.mark.parametrize("sop", [CT, MR])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_d70_an_enhanced_object_is_a_volume_as_file_and_as_folder(
    orientation: str,
    shared: bool,
    sop: str,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    is_placed: Placed,
) -> None:
    row, column = ORIENTATIONS[orientation]
    slices = make_slices(hu, row=row, column=column)
    folder = write(tmp_path / "ct", enhanced(slices, shared_orientation=shared, sop=sop))
    for path in (folder, folder / "0.dcm"):
        volume = read_image(path)
        assert volume.array.shape == (7, 5, 6)
        assert is_placed(volume, row=row, column=column)
        assert volume.warnings == ()
    assert read_header(folder).shape == (7, 5, 6)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_d70_a_compressed_enhanced_object_is_a_volume(
    syntax: str, tmp_path: Path, hu: Any, make_slices: Make, is_placed: Placed
) -> None:
    one = enhanced(make_slices(hu))
    one.compress(UID(syntax), generate_instance_uid=False)
    assert is_placed(read_image(write(tmp_path / "ct", one)))


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]])
def test_d71_frames_lie_where_their_positions_say(
    order: list[int], tmp_path: Path, hu: Any, make_slices: Make, is_placed: Placed
) -> None:
    slices = make_slices(hu)
    one = enhanced([slices[index] for index in order])
    assert is_placed(read_image(write(tmp_path / "ct", one)))


def test_d72_each_frame_has_its_own_rescale(tmp_path: Path, hu: Any, make_slices: Make) -> None:
    one = enhanced(make_slices(hu), shared_orientation=False)
    own = frames_of(one)[2].PixelValueTransformationSequence[0]
    own.RescaleSlope, own.RescaleIntercept = 2, 7
    array = read_image(write(tmp_path / "ct", one)).array
    assert np.array_equal(array[..., 2], (hu[..., 2].astype(int) + 1024) * 2 + 7)
    assert np.array_equal(array[..., 3], hu[..., 3])


@pytest.mark.parametrize(
    ("keyword", "values"), [("StackID", ("1", "2")), ("TemporalPositionIndex", (1, 2))]
)
def test_d73_stacks_and_temporal_positions_are_refused_and_picked(
    keyword: str, values: Any, tmp_path: Path, hu: Any, make_slices: Make, is_placed: Placed
) -> None:
    one = enhanced(make_slices(hu) + make_slices(np.asarray(hu + 1, np.int16)))
    for number, frame in enumerate(frames_of(one)):
        setattr(frame.FrameContentSequence[0], keyword, values[number // 6])
    folder = write(tmp_path / "ct", one)
    with pytest.raises(DataError, match=rf"{keyword} is 1 \(6 images\), 2 \(6 images\)"):
        read_image(folder)
    assert is_placed(read_image(folder, reading=Reading(phase=f"{keyword}=1")))


def without_positions(one: Any) -> None:
    for frame in frames_of(one):
        del frame.PlanePositionSequence


def turned(one: Any) -> None:
    cosines = frames_of(one)[3].PlaneOrientationSequence[0]
    cosines.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


def gap(one: Any) -> None:
    for frame in frames_of(one)[3:]:
        frame.PlanePositionSequence[0].ImagePositionPatient[2] += 4


@pytest.mark.parametrize(
    ("damage", "fact"),
    [(gap, "a gap"), (turned, "orientation differs"), (without_positions, "no ImagePosition")],
)
def test_d74_frames_that_form_no_grid_are_refused(
    damage: Callable[[Any], None], fact: str, tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    one = enhanced(make_slices(hu), shared_orientation=False)
    damage(one)
    with pytest.raises(GeometryError, match=fact):
        read_image(write(tmp_path / "ct", one))


def test_d75_more_frames_than_pixels_are_refused(
    tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    one = enhanced(make_slices(hu))
    one.PixelData = one.PixelData[: 5 * 70]
    with pytest.raises(DataError, match="pixels need 420 bytes, the file has 350"):
        read_image(write(tmp_path / "ct", one))
    one.NumberOfFrames = 9
    with pytest.raises(DataError, match="9 frames, 6 of them described"):
        read_image(write(tmp_path / "ct", one))


@pytest.mark.parametrize(
    "sop", ["7.2", "7.3", "3.1", "20"], ids=["capture", "capture word", "ultrasound", "NM"]
)
def test_d76_frames_without_functional_groups_are_refused(
    sop: str, tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    one = enhanced(make_slices(hu))
    del one.SharedFunctionalGroupsSequence, one.PerFrameFunctionalGroupsSequence
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = UID(f"1.2.840.10008.5.1.4.1.1.{sop}")
    with pytest.raises(DataError, match="no geometry"):
        read_image(write(tmp_path / "ct", one))


def parts(hu: Any, make: Make) -> list[Any]:
    found = []
    for number in range(2):
        one = enhanced(make(hu)[3 * number : 3 * number + 3])
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        one.ConcatenationUID, one.InConcatenationNumber = "1.2.5", number + 1
        one.InConcatenationTotalNumber = 2
        found.append(one)
    return found


def test_d77_a_concatenation_is_read_whole_or_refused(
    tmp_path: Path, hu: Any, make_slices: Make, is_placed: Placed
) -> None:
    both = parts(hu, make_slices)
    volume = read_image(write(tmp_path / "both", *both))
    assert volume.array.shape == (7, 5, 6)
    assert is_placed(volume)
    for number in range(2):
        with pytest.raises(DataError, match="1 of 2 parts of a concatenation"):
            read_image(write(tmp_path / str(number), both[number]))
    del both[0].InConcatenationTotalNumber
    with pytest.raises(DataError, match="of an untold number"):
        read_image(write(tmp_path / "untold", both[0]))
