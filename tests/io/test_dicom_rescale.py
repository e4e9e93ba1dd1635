"""Rows D40 to D46 and D54 to D58: rescale, padding, what is for display."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from pipeline.errors import DataError
from pipeline.io import read_image

Make = Callable[..., list[Any]]
Save = Callable[..., Path]


def raw(one: Any, keyword: str, vr: str, text: bytes) -> None:
    """Put bytes into an element that pydicom itself would not write."""
    tag = Tag(keyword)
    value = text + b" " * (len(text) % 2)
    one.pop(tag, None)
    one[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def store(slices: list[Any], dtype: str, values: Any, **layout: int) -> list[Any]:
    """Give the slices other stored values (i, j, k) in `dtype`."""
    kind = np.dtype(dtype)
    bits = kind.itemsize * 8
    for k, one in enumerate(slices):
        one.BitsAllocated, one.BitsStored, one.HighBit = bits, bits, bits - 1
        one.PixelRepresentation = int(kind.kind == "i")
        for name, value in layout.items():
            setattr(one, name, value)
        data = np.ascontiguousarray(np.asarray(values)[:, :, k].T).astype(kind).tobytes()
        one.PixelData = data + b"\0" * (len(data) % 2)
    return slices


def without(slices: list[Any], *keywords: str) -> list[Any]:
    for one in slices:
        for keyword in keywords:
            if keyword in one:
                delattr(one, keyword)
    return slices


def read(tmp_path: Path, save: Save, slices: list[Any]) -> Any:
    return read_image(save(tmp_path / "ct", slices))


def test_d40_each_slice_has_its_own_rescale(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    slices[2].RescaleSlope, slices[2].RescaleIntercept = 0.5, 10
    slices[4].RescaleSlope, slices[4].RescaleIntercept = 3, -7
    array = read(tmp_path, save_slices, slices).array
    assert array.dtype == np.float32
    assert np.array_equal(array[..., 1], hu[..., 1])
    assert np.array_equal(array[..., 2], (hu[..., 2].astype(float) + 1024) * 0.5 + 10)
    assert np.array_equal(array[..., 4], (hu[..., 4].astype(float) + 1024) * 3 - 7)


def test_d40_whole_numbers_stay_int16_whatever_the_slices_say(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    slices[4].RescaleSlope, slices[4].RescaleIntercept = -3, -7
    array = read(tmp_path, save_slices, slices).array
    assert array.dtype == np.int16
    assert np.array_equal(array[..., 4], (hu[..., 4].astype(int) + 1024) * -3 - 7)


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [
        (b"0.25", b"-1000.5"),
        (b"-1", b"100"),
        (b"1.00000000000000000000", b"-1024.0000000000000000"),
    ],
    ids=["fractional", "negative", "overlong"],
)
def test_d41_every_slope_is_right(
    slope: bytes, intercept: bytes, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        raw(one, "RescaleSlope", "DS", slope)
        raw(one, "RescaleIntercept", "DS", intercept)
    array = read(tmp_path, save_slices, slices).array
    expected = (hu.astype(float) + 1024) * float(slope) + float(intercept)
    assert np.array_equal(array, expected)


def test_d42_an_mr_without_rescale_has_its_stored_values(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = without(make_slices(hu, Modality="MR"), "RescaleSlope", "RescaleIntercept")
    volume = read(tmp_path, save_slices, slices)
    assert np.array_equal(volume.array, hu + 1024)
    assert volume.warnings == ()


def test_d43_a_ct_without_rescale_is_not_called_hu(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = without(make_slices(hu), "RescaleSlope", "RescaleIntercept")
    volume = read(tmp_path, save_slices, slices)
    assert np.array_equal(volume.array, hu + 1024)
    assert "not HU" in volume.warnings[0]
    assert volume.facts["hu"] is False
    assert read_image(save_slices(tmp_path / "usual", make_slices(hu))).facts["hu"] is True


@pytest.mark.parametrize("damage", ["absent on one", "slope 0", "text", "intercept absent"])
def test_d44_a_broken_rescale_is_refused(
    damage: str, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    if damage == "absent on one":
        without(slices[1:2], "RescaleSlope", "RescaleIntercept")
    elif damage == "intercept absent":
        without(slices, "RescaleIntercept")
    else:
        raw(slices[3], "RescaleSlope", "DS", b"0" if damage == "slope 0" else b"one")
    with pytest.raises(DataError, match=r"rescale|RescaleSlope"):
        read(tmp_path, save_slices, slices)


@pytest.mark.parametrize(("modality", "count"), [("CT", 6), ("CT", 1), ("MR", 1)])
def test_d45_an_empty_slope_is_refused(
    modality: str, count: int, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, Modality=modality)
    for one in slices[:count]:
        one.RescaleSlope = None
    with pytest.raises(DataError, match="rescale"):
        read(tmp_path, save_slices, slices)


@pytest.mark.parametrize("intercept", [0, None])
def test_d45_an_empty_slope_on_all_slices_of_an_mr_means_none(
    intercept: int | None, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, Modality="MR", RescaleSlope=None, RescaleIntercept=intercept)
    volume = read(tmp_path, save_slices, slices)
    assert np.array_equal(volume.array, hu + 1024)
    assert "RescaleSlope is empty" in volume.warnings[0]


@pytest.mark.parametrize("kind", ["US", "OD", "MGML"])
def test_d46_another_rescale_type_is_told(
    kind: str, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    volume = read(tmp_path, save_slices, make_slices(hu, RescaleType=kind))
    assert np.array_equal(volume.array, hu)
    assert f"RescaleType is {kind}" in volume.warnings[0]
    assert volume.facts["hu"] is False


@pytest.mark.parametrize("vr", ["SS", "US", "OW"])
@pytest.mark.parametrize(("voxels", "told"), [(20, True), (0, False)])
def test_d54_padding_is_kept_and_counted(
    vr: str,
    voxels: int,
    told: bool,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
) -> None:
    values = hu.astype(int) + 1024
    values[0, 0, :2] = -2000
    values.reshape(-1)[:voxels] = -2000
    count = int((values == -2000).sum())
    slices = store(make_slices(hu), "<i2", values)
    for one in slices:
        raw(one, "PixelPaddingValue", vr, np.array([63536], "<u2").tobytes())
    volume = read(tmp_path, save_slices, slices)
    assert np.array_equal(volume.array, values - 1024)
    assert volume.facts["padding_voxels"] == count
    assert volume.facts["padding_value"] == -3024
    assert "padding, value -3024" in volume.warnings[0]


def test_d54_a_padding_range_is_counted_whole_and_little_of_it_in_silence(
    tmp_path: Path, make_slices: Make, save_slices: Save
) -> None:
    hu = np.zeros((40, 40, 2), np.int16)
    hu[3, 4, 0], hu[5, 6, 1] = -1023, -1021
    slices = make_slices(hu, PixelPaddingValue=3, PixelPaddingRangeLimit=1)
    volume = read(tmp_path, save_slices, slices)
    assert volume.facts["padding_voxels"] == 2
    assert volume.facts["padding_value"] == -1023
    assert volume.warnings == ()


def test_d55_monochrome1_is_not_inverted(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read(tmp_path, save_slices, slices).array, hu)


def test_d56_windows_tables_and_overlays_for_display_are_ignored(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, WindowCenter=[40, 400], WindowWidth=[350, 2000])
    for one in slices:
        table = Dataset()
        table.LUTDescriptor, table.LUTData = [256, 0, 16], b"\1\0" * 256
        one.VOILUTSequence = Sequence([table])
        one.add_new(0x60000010, "US", 5)
        one.add_new(0x60000011, "US", 7)
        one.add_new(0x60003000, "OW", b"\xff" * 6)
    volume = read(tmp_path, save_slices, slices)
    assert np.array_equal(volume.array, hu)
    assert volume.warnings == ()


def test_d57_a_modality_table_is_refused(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = without(make_slices(hu), "RescaleSlope", "RescaleIntercept")
    for one in slices:
        table = Dataset()
        table.LUTDescriptor, table.LUTData, table.ModalityLUTType = [4, 0, 16], b"\1\0" * 4, "HU"
        one.ModalityLUTSequence = Sequence([table])
    with pytest.raises(DataError, match="Modality LUT"):
        read(tmp_path, save_slices, slices)


def test_d58_real_world_values_and_private_scales_are_told_not_applied(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, Modality="PT", Units="BQML")
    for one in slices:
        item = Dataset()
        item.RealWorldValueSlope, item.RealWorldValueIntercept = 7.0, 1.0
        one.RealWorldValueMappingSequence = Sequence([item])
        one.add_new(0x20050010, "LO", "Philips MR Imaging DD 001")
        one.add_new(0x2005100E, "FL", 0.01)
    volume = read(tmp_path, save_slices, slices)
    assert np.array_equal(volume.array, hu)
    assert volume.facts["units"] == "BQML"
    assert volume.facts["real_world_values"] == "not applied"
