import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError, InvalidValueError
from pipeline.io import read_header, read_image, read_label, write_picture

GREY = np.arange(6 * 4, dtype=np.uint8).reshape(6, 4)
COLOUR = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)


@pytest.mark.parametrize("array", [GREY, COLOUR, GREY.astype(np.uint16) * 2000])
def test_png_keeps_rows_columns_values_and_type(array: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path, array)
    volume = read_image(path)
    assert volume.affine is None
    assert volume.array.dtype == array.dtype
    assert np.array_equal(volume.array, array)
    header = read_header(path)
    assert header.shape == (6, 4)
    assert header.channels == (3 if array.ndim == 3 else 1)
    assert header.dtype == array.dtype.name
    assert header.spacing is None


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a.tif", GREY),
        ("a.tiff", GREY.astype(np.uint16) * 2000),
        ("a.tif", GREY.astype(np.float32) / 7),
        ("a.bmp", COLOUR),
        ("a.gif", GREY),
    ],
)
def test_other_lossless_formats_keep_their_values(name: str, array: Any, tmp_path: Path) -> None:
    Image.fromarray(array).save(tmp_path / name)
    volume = read_image(tmp_path / name)
    assert np.array_equal(
        volume.array if volume.array.ndim == array.ndim else volume.array[..., 0], array
    )


def test_a_palette_is_colour_for_an_image_and_indices_for_a_mask(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2))
    image.putdata([0, 1, 2, 1])
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").array.tolist()[0][1] == [255, 0, 0]
    assert read_label(tmp_path / "a.png").array.tolist() == [[0, 1], [2, 1]]


def test_a_grey_gif_mask_means_its_grey_levels(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putdata([0, 1])
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "a.gif")
    assert read_label(tmp_path / "a.gif").array.tolist() == [[0, 255]]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_low_depths_are_not_stretched(bits: int, tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    # one row of two pixels, 0 and 1, in the upper bits of one byte
    head = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    row = bytes([0, 1 << (8 - 2 * bits)])
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    assert read_image(tmp_path / "a.png").array.tolist() == [[0, 1]]
    assert read_label(tmp_path / "a.png").array.tolist() == [[0, 1]]


@pytest.mark.parametrize(("alpha", "warnings"), [(255, ()), (9, ("transparency dropped",))])
def test_alpha_is_dropped_and_told_where_it_says_something(
    alpha: int, warnings: tuple[str, ...], tmp_path: Path
) -> None:
    array = np.dstack([COLOUR, np.full_like(GREY, alpha)])
    Image.fromarray(array).save(tmp_path / "a.png")
    volume = read_image(tmp_path / "a.png")
    assert np.array_equal(volume.array, COLOUR)
    assert volume.warnings == warnings
    with pytest.raises(DataError, match="RGBA"):
        read_label(tmp_path / "a.png")


def test_a_turned_jpeg_is_set_upright(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((6, 4), 90, np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    volume = read_image(tmp_path / "a.jpg")
    assert volume.array.shape == read_header(tmp_path / "a.jpg").shape == (4, 6)
    assert "orientation 6" in volume.warnings[0]


def test_masks_in_equal_channels_are_read_and_in_colours_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "equal.png", np.dstack([GREY] * 3))
    write_picture(tmp_path / "colour.png", COLOUR)
    assert np.array_equal(read_label(tmp_path / "equal.png").array, GREY)
    with pytest.raises(DataError, match="in colours"):
        read_label(tmp_path / "colour.png")


def test_a_jpeg_mask_is_refused_with_png_as_the_way_out(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.jpg")
    with pytest.raises(DataError) as error:
        read_label(tmp_path / "a.jpg")
    assert "PNG" in error.value.hint


def test_a_float_mask_between_whole_numbers_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0.5]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"0\.5"):
        read_label(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.gif"])
def test_several_pages_are_refused(name: str, tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(GREY + 1)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="2 pages"):
        read_image(tmp_path / name)


def test_a_cut_picture_is_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    write_picture(tmp_path / "a.png", values)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    with pytest.raises(DataError, match=r"a\.png"):
        read_image(tmp_path / "a.png")


def test_a_declared_size_over_the_limit_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "a.png", np.zeros((40, 40), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="1600 pixels"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a.jpg", GREY),
        ("a.png", GREY.astype(np.float32)),
        ("a.png", np.array([[70000]])),
        ("a.png", np.array([[-1]])),
        ("a.png", np.zeros((2, 2, 2), np.uint8)),
    ],
)
def test_what_png_cannot_hold_is_refused(name: str, array: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError):
        write_picture(tmp_path / name, array)
    assert list(tmp_path.iterdir()) == []
