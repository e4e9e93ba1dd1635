"""Rows D28 to D39 and D111: several series, mixtures, missing UIDs."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, GeometryError
from pipeline.io import read_header, read_image

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Placed = Callable[..., bool]
SCOUT = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}


def copies(slices: list[Any], **attributes: Any) -> list[Any]:
    """Slices again, under new UIDs and with other attributes."""
    others = copy.deepcopy(slices)
    for one in others:
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID + ".9"
        for name, value in attributes.items():
            setattr(one, name, value)
    return others


def darker(one: Any) -> Any:
    pixels = np.frombuffer(one.PixelData, "<u2") + 3
    one.PixelData = pixels.tobytes()
    return one


@pytest.fixture
def series(hu: Any, make_slices: Make) -> list[Any]:
    return make_slices(hu)


def colourful(slices: list[Any], photometric: str) -> list[Any]:
    for one in slices:
        one.PhotometricInterpretation = photometric
        if photometric == "RGB":
            one.SamplesPerPixel, one.PlanarConfiguration = 3, 0
            one.BitsAllocated, one.BitsStored, one.HighBit = 8, 8, 7
            one.PixelData = b"\x80" * (one.Rows * one.Columns * 3 + 1)
    return slices


def test_d28_several_series_are_listed_on_one_line_and_picked_by_number_or_uid(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    late = make_slices(hu, series="1.2.3", SeriesTime="1300", SeriesDescription='Thx "lung"')
    early = make_slices(hu[..., :4] + 1, series="1.2.4")
    save_slices(tmp_path / "ct", late, prefix="a")
    folder = save_slices(tmp_path / "ct", early, prefix="b")
    listing = '2 series: [1] CT 7x5x4 "Abd 2.0"; [2] CT 7x5x6 "Thx \'lung\'"'
    with pytest.raises(DataError) as error:
        read_image(folder)
    assert error.value.line() == f"{folder}: {listing}; choose with --series N"
    assert np.array_equal(read_image(folder, series=1).array, hu[..., :4] + 1)
    assert np.array_equal(read_image(folder, series="2").array, hu)
    assert np.array_equal(read_image(folder, series="1.2.4").array, hu[..., :4] + 1)
    assert read_header(folder, series="1.2.3").shape == (7, 5, 6)
    with pytest.raises(DataError, match="no series 3; 2 series") as error:
        read_image(folder, series=3)
    with pytest.raises(DataError, match="no such series; 2 series") as error:
        read_image(folder, series="1.2.77")
    assert "1.2.77" not in str(error.value)


def test_d28_ten_series_are_named_at_most(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    for number in range(13):
        slices = make_slices(hu[..., :2], series=f"1.2.{number}")
        save_slices(tmp_path / "ct", slices, prefix=f"{number}-")
    with pytest.raises(DataError, match=r"13 series: .*\[10\] .*; and 3 more") as error:
        read_image(tmp_path / "ct")
    assert "\n" not in error.value.line()


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID"])
@pytest.mark.parametrize("uid", ["1.2.3", "1.2.4"])
def test_d29_two_patients_or_studies_are_refused(
    keyword: str, uid: str, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    save_slices(tmp_path / "ct", make_slices(hu[..., :4]), prefix="a")
    other = make_slices(hu[..., 4:] if uid == "1.2.3" else hu, series=uid, **{keyword: "1.77"})
    if uid == "1.2.3":
        for one in other:
            one.ImagePositionPatient[2] = float(one.ImagePositionPatient[2]) + 8
    folder = save_slices(tmp_path / "ct", other, prefix="b")
    with pytest.raises(DataError, match=r"2 (patients|studies)"):
        read_image(folder)


@pytest.mark.parametrize("count", [1, 2])
def test_d30_a_scout_in_another_series_is_left_out_and_told(
    count: int, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu))
    save_slices(folder, make_slices(hu[..., :count], series="1.2.8", **SCOUT), prefix="scout")
    volume = read_image(folder)
    assert is_placed(volume)
    assert volume.warnings == (f"{count} images of 1 other series left out",)


def test_d31_a_localizer_in_the_series_is_left_out_and_told(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu))
    turned = make_slices(hu[..., :1], row=(1, 0, 0), column=(0, 0, -1), **SCOUT)
    save_slices(folder, copies(turned), prefix="scout")
    volume = read_image(folder)
    assert is_placed(volume)
    assert volume.warnings == ("1 localizers left out",)


@pytest.mark.parametrize(
    ("indices", "cosines"),
    [
        ([2], [1, 0, 0, 0, 0, -1]),
        ([3, 4, 5], [0, 1, 0, 0, 0, -1]),
        ([4], [1, 0, 0, 0, 0.999848, 0.017452]),
    ],
    ids=["odd slice", "two orientations", "slightly turned"],
)
def test_d32_slices_of_another_orientation_are_refused(
    indices: list[int],
    cosines: list[float],
    tmp_path: Path,
    series: list[Any],
    save_slices: Save,
) -> None:
    for index in indices:
        series[index].ImageOrientationPatient = cosines
    with pytest.raises(GeometryError, match="orientation differs by"):
        read_image(save_slices(tmp_path / "ct", series))


def test_d33_a_size_or_spacing_that_changes_is_refused(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    slices[3] = make_slices(hu[:, :4])[3]
    with pytest.raises(GeometryError, match="7x4 pixels, 7x5 in"):
        read_image(save_slices(tmp_path / "size", slices))
    slices = make_slices(hu)
    slices[2].PixelSpacing = [0.75, 0.51]
    with pytest.raises(GeometryError, match=r"PixelSpacing \[0\.75, 0\.51\]"):
        read_image(save_slices(tmp_path / "spacing", slices))


def test_d34_two_frames_of_reference_are_refused(
    tmp_path: Path, series: list[Any], save_slices: Save
) -> None:
    series[4].FrameOfReferenceUID = "1.7"
    with pytest.raises(DataError, match="2 frames of reference"):
        read_image(save_slices(tmp_path / "ct", series))


@pytest.mark.parametrize(
    "sop_class",
    ["88.11", "11.1", "481.3", "88.67"],
    ids=["report", "presentation", "structures", "dose report"],
)
def test_d35_objects_without_pixels_are_left_out_and_counted(
    sop_class: str,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
    is_placed: Placed,
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu))
    uid = f"1.2.840.10008.5.1.4.1.1.{sop_class}"
    report = make_slices(hu[..., :1], series="1.2.7", SOPClassUID=uid)
    for name in ("PixelData", "Rows", "Columns", "ImagePositionPatient"):
        delattr(report[0], name)
    save_slices(folder, report, prefix="a report")
    volume = read_image(folder)
    assert is_placed(volume)
    assert volume.warnings == ("1 DICOM files without pixels left out",)


def test_d36_a_colour_capture_beside_is_left_out_and_told(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu))
    capture = colourful(
        make_slices(hu[..., :2], series="1.2.8", SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "RGB"
    )
    save_slices(folder, capture, prefix="capture")
    volume = read_image(folder)
    assert is_placed(volume)
    assert "2 images of 1 other series left out" in volume.warnings


@pytest.mark.parametrize("photometric", ["RGB", "PALETTE COLOR"])
def test_d37_a_series_in_colour_is_refused(
    photometric: str, tmp_path: Path, series: list[Any], save_slices: Save
) -> None:
    with pytest.raises(DataError, match="colour, not intensities"):
        read_image(save_slices(tmp_path / "ct", colourful(series, photometric)))


def test_d38_a_mosaic_is_refused(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    with pytest.raises(DataError, match="mosaic") as error:
        read_image(save_slices(tmp_path / "ct", slices))
    assert "unpacks" in error.value.hint


@pytest.mark.parametrize(
    "keyword", ["SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"]
)
@pytest.mark.parametrize("count", [1, 6])
def test_d39_missing_uids_are_told_where_geometry_forms_one_volume(
    keyword: str,
    count: int,
    tmp_path: Path,
    series: list[Any],
    save_slices: Save,
    is_placed: Placed,
) -> None:
    for one in series[:count]:
        delattr(one, keyword)
    volume = read_image(save_slices(tmp_path / "ct", series))
    assert is_placed(volume)
    told = () if keyword == "FrameOfReferenceUID" else (f"no {keyword}: ",)
    assert len(volume.warnings) == len(told)
    assert all(line.startswith(start) for line, start in zip(volume.warnings, told, strict=True))


def test_d39_missing_uids_are_refused_where_geometry_forms_no_volume(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    save_slices(tmp_path / "ct", make_slices(hu, SeriesInstanceUID=""), prefix="a")
    other = [darker(one) for one in make_slices(hu, SeriesInstanceUID="")]
    folder = save_slices(tmp_path / "ct", other, prefix="b")
    with pytest.raises(DataError):
        read_image(folder)


def test_d111_uids_that_are_empty_in_the_data_set_are_told(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    slices = make_slices(
        hu, SOPClassUID="", SOPInstanceUID="", StudyInstanceUID="", SeriesInstanceUID="",
        SeriesNumber=None, SliceThickness=3,
    )  # fmt: skip
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert is_placed(volume)
    assert "no SeriesInstanceUID, StudyInstanceUID, SOPInstanceUID" in volume.warnings[0]
