"""Rows D23 to D27: copies and phases."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, GeometryError
from pipeline.io import Reading, read_header, read_image

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Placed = Callable[..., bool]
PHASES = [
    ("AcquisitionNumber", 1, 2),
    ("TemporalPositionIdentifier", 1, 2),
    ("TriggerTime", 0.0, 450.0),
    ("EchoTime", 4.6, 9.2),
    ("ConvolutionKernel", "B30f", "B70f"),
    ("DiffusionBValue", 0.0, 1000.0),
]


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


def test_d23_the_same_file_twice_is_read_once_with_a_warning(
    tmp_path: Path, series: list[Any], save_slices: Save, is_placed: Placed
) -> None:
    folder = save_slices(tmp_path / "ct", series)
    (folder / "more").mkdir()
    shutil.copy(folder / "3", folder / "more" / "3 (1)")
    volume = read_image(folder)
    assert volume.array.shape == (7, 5, 6)
    assert is_placed(volume)
    assert "1 copies" in volume.warnings[0]


def test_d24_re_sent_slices_of_other_uids_are_read_once_with_a_warning(
    tmp_path: Path, series: list[Any], save_slices: Save, is_placed: Placed
) -> None:
    save_slices(tmp_path / "ct", series)
    folder = save_slices(tmp_path / "ct", copies(series, InstanceNumber=77), prefix="again")
    volume = read_image(folder)
    assert volume.array.shape == (7, 5, 6)
    assert is_placed(volume)
    assert "6 copies" in volume.warnings[0]
    assert read_header(folder).shape == (7, 5, 6)


@pytest.mark.parametrize("new_uid", [True, False])
def test_d25_other_pixels_at_one_place_are_refused_with_both_files(
    new_uid: bool, tmp_path: Path, series: list[Any], save_slices: Save
) -> None:
    save_slices(tmp_path / "ct", series)
    other = copies(series[2:3])[0] if new_uid else copy.deepcopy(series[2])
    folder = save_slices(tmp_path / "ct", [darker(other)], prefix="other")
    with pytest.raises(GeometryError, match=r"5 and other0 lie at one place, -26\.00 mm"):
        read_image(folder)


def test_d26_one_uid_on_all_slices_is_told(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    volume = read_image(save_slices(tmp_path / "ct", make_slices(hu, SOPInstanceUID="1.2.3.4")))
    assert is_placed(volume)
    assert "one SOPInstanceUID" in volume.warnings[0]


@pytest.mark.parametrize(("keyword", "one", "two"), PHASES)
@pytest.mark.parametrize("kept", [6, 3])
def test_d27_phases_are_refused_with_what_tells_them_apart_and_picked(
    keyword: str,
    one: Any,
    two: Any,
    kept: int,
    tmp_path: Path,
    series: list[Any],
    save_slices: Save,
    is_placed: Placed,
) -> None:
    for each in series:
        setattr(each, keyword, one)
        # what tells nothing: different in every slice
        each.AcquisitionTime = f"1200{each.InstanceNumber:02d}"
    save_slices(tmp_path / "ct", series)
    second = [darker(each) for each in copies(series, **{keyword: two})[:kept]]
    folder = save_slices(tmp_path / "ct", second, prefix="two")
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in (one, two)]
    with pytest.raises(DataError) as error:
        read_image(folder)
    fact = f"{keyword} is {shown[0]} (6 images), {shown[1]} ({kept} images)"
    assert fact in str(error.value)
    assert f"--phase {keyword}=" in error.value.hint
    assert is_placed(read_image(folder, reading=Reading(phase=f"{keyword}={shown[0]}")))
    picked = read_image(folder, reading=Reading(phase=f"{keyword.lower()}={shown[1]}"))
    assert picked.array.shape == (7, 5, kept)
    with pytest.raises(DataError, match="no slice has"):
        read_image(folder, reading=Reading(phase=f"{keyword}=77"))


@pytest.mark.parametrize("keyword", ["EchoTime", "ConvolutionKernel", "DiffusionBValue"])
def test_d27_phases_that_interleave_to_an_even_grid_are_refused_too(
    keyword: str, tmp_path: Path, series: list[Any], save_slices: Save
) -> None:
    values = {"EchoTime": (2.0, 4.0), "ConvolutionKernel": ("A", "B")}.get(keyword, (0.0, 800.0))
    for k, one in enumerate(series):
        setattr(one, keyword, values[k % 2])
    with pytest.raises(DataError, match=keyword):
        read_image(save_slices(tmp_path / "ct", series))


def test_d27_two_attributes_pick_one_of_four_phases(
    tmp_path: Path, series: list[Any], save_slices: Save, is_placed: Placed
) -> None:
    for number in (1, 2):
        for echo in (3.0, 6.0):
            phase = copies(series, AcquisitionNumber=number, EchoTime=echo)
            if (number, echo) != (2, 6.0):
                phase = [darker(one) for one in phase]
            save_slices(tmp_path / "ct", phase, prefix=f"{number}-{echo}-")
    volume = read_image(tmp_path / "ct", reading=Reading(phase="AcquisitionNumber=2,EchoTime=6"))
    assert is_placed(volume)
