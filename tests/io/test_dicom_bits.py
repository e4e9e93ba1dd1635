"""Rows D47 to D53: signs, bits and types."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.io import read_image

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
PROPERTY = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


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


def read(tmp_path: Path, save: Save, slices: list[Any]) -> Any:
    return read_image(save(tmp_path / "ct", slices))


@pytest.mark.parametrize("top", ["sixteen bits", "sign-extended", "zero high bits"])
def test_d47_signed_pixels_are_extended_from_their_highest_bit(
    top: str, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, RescaleIntercept=0)
    layout = {} if top == "sixteen bits" else {"BitsStored": 12, "HighBit": 11}
    store(slices, "<i2", hu & 0xFFF if top == "zero high bits" else hu, **layout)
    array = read(tmp_path, save_slices, slices).array
    assert array.dtype == np.int16
    assert np.array_equal(array, hu)


def test_d48_old_overlays_in_unused_bits_are_masked(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    overlay = (np.indices(hu.shape).sum(axis=0) % 2) << 12
    slices = store(
        make_slices(hu), "<u2", (hu.astype(int) + 1024) | overlay, BitsStored=12, HighBit=11
    )
    assert np.array_equal(read(tmp_path, save_slices, slices).array, hu)


@pytest.mark.parametrize("signed", [0, 1])
def test_d49_left_aligned_pixels_are_shifted(
    signed: int, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    values = hu.astype(int) * 16 if signed else (hu.astype(int) + 1024) * 16
    slices = make_slices(hu, RescaleIntercept=0 if signed else -1024)
    store(slices, "<i2" if signed else "<u2", values, BitsStored=12, HighBit=15)
    assert np.array_equal(read(tmp_path, save_slices, slices).array, hu)


def test_d49_a_highest_bit_that_the_pixels_contradict_is_refused(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    with pytest.raises(DataError, match="highest bit is 15 of 12"):
        read(tmp_path, save_slices, make_slices(hu, HighBit=15))


def test_d50_signedness_may_differ_between_slices(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    signed = store(make_slices(hu, RescaleIntercept=0), "<i2", hu)
    slices[1::2] = signed[1::2]
    assert np.array_equal(read(tmp_path, save_slices, slices).array, hu)


@pytest.mark.parametrize(
    ("dtype", "factor", "expected"),
    [("<u2", 50, "int32"), ("<i4", 1000, "int32"), ("<u4", 1000, "int32"), ("u1", 0.1, "int16")],
)
def test_d51_wide_values_get_a_type_that_holds_them(
    dtype: str,
    factor: float,
    expected: str,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
) -> None:
    values = ((hu.astype(int) + 1000) * factor + 5).astype(int)
    values[0, 0, 0] = {"<u2": 65535, "<i4": -(2**31), "<u4": 2**31 - 1, "u1": 255}[dtype]
    slices = store(make_slices(hu, RescaleSlope=1, RescaleIntercept=0), dtype, values)
    array = read(tmp_path, save_slices, slices).array
    assert array.dtype == expected
    assert np.array_equal(array, values)


def test_d51_unsigned_32_bits_beyond_int32_are_not_wrapped(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    values = np.full(hu.shape, 2**32 - 256)
    slices = store(make_slices(hu, RescaleSlope=1, RescaleIntercept=0), "<u4", values)
    assert (read(tmp_path, save_slices, slices).array == 2**32 - 256).all()


@pytest.mark.parametrize(("keyword", "dtype"), [("Float", "<f4"), ("DoubleFloat", "<f8")])
def test_d52_float_pixels_are_right(
    keyword: str, dtype: str, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    values = hu / 3 + (1e-9 if dtype == "<f8" else 0)
    slices = make_slices(hu, RescaleSlope=1, RescaleIntercept=0)
    for k, one in enumerate(slices):
        data = np.ascontiguousarray(values[:, :, k].T).astype(dtype).tobytes()
        del one.PixelData, one.BitsStored, one.HighBit, one.PixelRepresentation
        one.BitsAllocated = 8 * np.dtype(dtype).itemsize
        setattr(one, f"{keyword}PixelData", data)
    array = read(tmp_path, save_slices, slices).array
    assert array == pytest.approx(values, rel=1e-6)


@pytest.mark.parametrize(
    "layout",
    [{"BitsAllocated": 12}, {"BitsStored": 17}, {"BitsAllocated": 8}, {"HighBit": 3}],
)
def test_d53_impossible_bits_are_refused(
    layout: dict[str, int], tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    with pytest.raises(DataError, match="bits of"):
        read(tmp_path, save_slices, make_slices(hu, **layout))


@PROPERTY
@given(
    bits=st.sampled_from([8, 16, 32]),
    signed=st.booleans(),
    unused=st.integers(0, 7),
    left=st.booleans(),
    junk=st.booleans(),
    slope=st.sampled_from([1.0, 2.0, -1.0, 0.5, 1.7, 100.0]),
    intercept=st.sampled_from([0.0, -1024.0, -0.25, 31000.0]),
    data=st.data(),
)
def test_every_packing_sign_and_rescale_gives_stored_times_slope_plus_intercept(
    tmp_path_factory: pytest.TempPathFactory,
    make_slices: Make,
    save_slices: Save,
    bits: int,
    signed: bool,
    unused: int,
    left: bool,
    junk: bool,
    slope: float,
    intercept: float,
    data: st.DataObject,
) -> None:
    stored = bits - unused
    low = -(1 << (stored - 1)) if signed else 0
    high = (1 << (stored - 1)) - 1 if signed else (1 << stored) - 1
    numbers = st.lists(st.integers(low, high), min_size=24, max_size=24)
    values = np.array(data.draw(numbers), np.int64).reshape(3, 4, 2)
    packed = values & ((1 << stored) - 1)
    packed = packed << unused if left else packed | ((junk << bits) - (junk << stored))
    slices = make_slices(
        np.zeros((3, 4, 2), np.int16), RescaleSlope=slope, RescaleIntercept=intercept
    )
    store(
        slices,
        f"<u{bits // 8}",
        packed,
        BitsStored=stored,
        HighBit=bits - 1 if left else stored - 1,
        PixelRepresentation=int(signed),
    )
    folder = save_slices(tmp_path_factory.mktemp("ct"), slices)
    array = read_image(folder).array
    expected = values * slope + intercept
    assert array.astype(float) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    whole = np.array_equal(expected, np.rint(expected))
    assert (array.dtype.kind == "i") == (whole and np.abs(expected + 0.5).max() < 2**31)
