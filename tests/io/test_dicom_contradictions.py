"""Headers that say two things, or leave out what values depend on: refused, never guessed."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmwrite

from pipeline.errors import DataError
from pipeline.io import read_image

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Placed = Callable[..., bool]
INTERCEPT, PIXELS = struct.pack("<HH", 0x28, 0x1052), struct.pack("<HH", 0x7FE0, 0x10)


def element(data: bytes, tag: bytes) -> tuple[int, int]:
    """Where an element of a short VR begins and ends."""
    start = data.index(tag + b"DS")
    return start, start + 8 + struct.unpack_from("<H", data, start + 6)[0]


@pytest.mark.parametrize("apart", [False, True])
def test_an_element_given_twice_with_two_values_is_refused(
    apart: bool, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "in", make_slices(hu))
    file = folder / "2"
    data = file.read_bytes()
    start, end = element(data, INTERCEPT)
    other = INTERCEPT + b"DS" + struct.pack("<H", 2) + b"50"
    place = data.index(PIXELS) if apart else end
    file.write_bytes(data[:place] + other + data[place:])
    with pytest.raises(DataError, match=r"/2: .*RescaleIntercept is given twice and differs"):
        read_image(folder)
    file.write_bytes(data[:place] + data[start:end] + data[place:])
    assert read_image(folder).array.shape == hu.shape


def test_elements_out_of_order_are_read(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    folder = save_slices(tmp_path / "in", make_slices(hu))
    for file in folder.iterdir():
        data = file.read_bytes()
        start, end = element(data, struct.pack("<HH", 0x20, 0x32))
        moved, rest = data[start:end], data[:start] + data[end:]
        place = rest.index(PIXELS)
        file.write_bytes(rest[:place] + moved + rest[place:])
    assert is_placed(read_image(folder))


@pytest.mark.parametrize("keyword", ["PixelData", "FloatPixelData"])
def test_two_elements_of_pixels_are_refused(
    keyword: str, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    if keyword == "FloatPixelData":
        for one in slices:
            one.FloatPixelData = b"\0" * (4 * 7 * 5)
    folder = save_slices(tmp_path / "in", slices)
    if keyword == "PixelData":
        for file in folder.iterdir():
            data = file.read_bytes()
            file.write_bytes(data + data[data.index(PIXELS) :])
    with pytest.raises(DataError, match="two elements of pixels"):
        read_image(folder)


def test_pixels_without_a_sign_are_refused(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        del one.PixelRepresentation
    with pytest.raises(DataError, match="no pixel representation"):
        read_image(save_slices(tmp_path / "in", slices))


@pytest.mark.parametrize("slope", ["1e300", "-1e300"])
def test_a_slope_that_leaves_no_number_is_refused(
    slope: str, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, RescaleSlope=slope)
    with pytest.raises(DataError, match=r"rescale slope -?1e\+300"):
        read_image(save_slices(tmp_path / "in", slices))


def test_a_slice_packed_by_gzip_is_no_junk(
    tmp_path: Path, hu: Any, make_slices: Make, is_placed: Placed
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, one in enumerate(make_slices(hu)):
        dcmwrite(folder / f"{number}.dcm", one)
    (folder / "notes.gz").write_bytes(gzip.compress(b"notes"))
    assert is_placed(read_image(folder))
    last = folder / "5.dcm"
    (folder / "5.dcm.gz").write_bytes(gzip.compress(last.read_bytes()))
    last.unlink()
    with pytest.raises(DataError, match=r"5\.dcm\.gz: a slice packed by gzip") as error:
        read_image(folder)
    assert error.value.hint == "unpack it first"


def test_a_modality_in_small_letters_is_the_same(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "in", make_slices(hu))
    for file in folder.iterdir():
        data = file.read_bytes()
        assert data.count(b"CS\2\0CT") == 1
        file.write_bytes(data.replace(b"CS\2\0CT", b"CS\2\0ct"))
    volume = read_image(folder)
    assert volume.modality == "CT"
    assert volume.facts["hu"] is True
