"""Rows I01 to I15: 2D images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from pipeline.io import read_header, read_image, read_label, write_picture

GREY = np.arange(6 * 4, dtype=np.uint8).reshape(6, 4)
COLOUR = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)


def palette(path: Path, colours: list[int]) -> Path:
    image = Image.new("P", (4, 6))
    image.putdata((GREY % 3).ravel().tolist())
    image.putpalette(colours)
    image.save(path)
    return path


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a.png", GREY.astype(np.uint16) * 2800),
        ("a.tif", GREY.astype(np.uint16) * 2800),
        ("a.tif", GREY.astype(np.float32) / 7 - 1),
    ],
)
def test_i01_deep_and_float_pictures_keep_their_values(
    name: str, array: Any, tmp_path: Path
) -> None:
    Image.fromarray(array).save(tmp_path / name)
    volume = read_image(tmp_path / name)
    assert volume.array.dtype == array.dtype
    assert np.array_equal(volume.array, array)


def test_i02_a_palette_is_indices_for_a_mask_and_colours_for_an_image(tmp_path: Path) -> None:
    path = palette(tmp_path / "a.png", [0, 0, 0, 255, 0, 0, 0, 255, 0])
    assert np.array_equal(read_label(path).array, GREY % 3)
    image = read_image(path).array
    assert image.shape == (6, 4, 3)
    assert image[0, 1].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("colours", "values"),
    [([0, 0, 0, 128, 128, 128, 255, 255, 255], [0, 128, 255]), ([0, 0, 0, 9, 0, 0, 0, 9, 0], None)],
    ids=["grey palette", "coloured palette"],
)
def test_i03_a_gif_mask_has_grey_levels_or_indices(
    colours: list[int], values: list[int] | None, tmp_path: Path
) -> None:
    label = read_label(palette(tmp_path / "a.gif", colours)).array
    assert np.array_equal(label, np.array(values or [0, 1, 2])[GREY % 3])


@pytest.mark.parametrize(("alpha", "told"), [(255, False), (90, True)])
@pytest.mark.parametrize("colour", [True, False])
def test_i04_alpha_is_dropped_and_told_and_no_mask(
    alpha: int, told: bool, colour: bool, tmp_path: Path
) -> None:
    base = COLOUR if colour else GREY[..., None]
    array = np.dstack([base, np.full_like(GREY, 255)])
    array[2, 1, -1] = alpha
    Image.fromarray(array).save(tmp_path / "a.png")
    volume = read_image(tmp_path / "a.png")
    assert np.array_equal(volume.array, COLOUR if colour else GREY)
    assert volume.warnings == (("transparency dropped",) if told else ())
    with pytest.raises(DataError, match="mask of kind"):
        read_label(tmp_path / "a.png")


@pytest.mark.parametrize("turn", range(2, 9))
def test_i05_a_turned_picture_is_set_upright_and_told(turn: int, tmp_path: Path) -> None:
    picture = np.zeros((16, 32), np.uint8)
    picture[:8, :8] = 250  # the corner that is top left when upright
    # how a camera that was held so stores the upright picture
    stored = {
        2: picture[:, ::-1], 3: picture[::-1, ::-1], 4: picture[::-1], 5: picture.T,
        6: picture.T[::-1], 7: picture.T[::-1, ::-1], 8: picture.T[:, ::-1],
    }[turn]  # fmt: skip
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = turn
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    volume = read_image(tmp_path / "a.jpg")
    assert volume.array.shape == read_header(tmp_path / "a.jpg").shape == (16, 32)
    assert np.array_equal(np.greater(volume.array, 125), picture > 125)
    assert volume.warnings == (f"turned upright (EXIF orientation {turn})",)


def test_i06_cmyk_becomes_rgb_and_is_told_and_no_mask(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.tif")
    volume = read_image(tmp_path / "a.tif")
    assert np.abs(volume.array.astype(int) - COLOUR).max() <= 1
    assert volume.warnings == ("CMYK converted to RGB",)
    assert read_image(tmp_path / "a.jpg").array.shape == (6, 4, 3)
    for name in ("a.jpg", "a.tif"):
        with pytest.raises(DataError):
            read_label(tmp_path / name)


@pytest.mark.parametrize("name", ["a.tif", "a.gif"])
def test_i07_i08_several_pages_are_refused_unless_one_is_named(name: str, tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(GREY + 1)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="2 pages"):
        read_image(tmp_path / name)
    with pytest.raises(DataError, match="2 pages"):
        read_label(tmp_path / name)
    array = read_image(tmp_path / name, page=2).array
    assert np.array_equal(array if array.ndim == 2 else array[..., 0], GREY + 1)
    with pytest.raises(DataError, match="no page 3"):
        read_image(tmp_path / name, page=3)


def test_i09_a_jpeg_mask_needs_a_threshold_and_two_levels(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[10:40, 15:50] = 255
    Image.fromarray(mask).save(tmp_path / "a.jpg", quality=90)
    with pytest.raises(DataError, match="does not keep") as error:
        read_label(tmp_path / "a.jpg")
    assert "PNG" in error.value.hint
    volume = read_label(tmp_path / "a.jpg", threshold=128)
    assert np.array_equal(volume.array, mask // 255)
    assert "neither of its two levels" in volume.warnings[0]
    three = np.zeros((64, 64), np.uint8)
    three[20:40], three[40:] = 90, 200
    Image.fromarray(three).save(tmp_path / "b.jpg", quality=90)
    with pytest.raises(DataError, match="do not cluster"):
        read_label(tmp_path / "b.jpg", threshold=128)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_i10_one_bit_is_0_and_1(name: str, tmp_path: Path) -> None:
    Image.fromarray(GREY % 2 == 1).save(tmp_path / name)
    for read in (read_image, read_label):
        array = read(tmp_path / name).array
        assert array.dtype == np.uint8
        assert np.array_equal(array, GREY % 2)


def test_i11_a_mask_of_0_and_255_is_kept_for_the_task_to_judge(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", (GREY % 2) * 255)
    assert np.unique(read_label(tmp_path / "a.png").array).tolist() == [0, 255]


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_i12_a_cut_picture_is_refused(name: str, share: float, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        read_image(tmp_path / name)


@pytest.mark.parametrize("limit", [100, 1599])
def test_i13_a_declared_size_over_the_limit_is_refused_before_decoding(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "a.png", np.zeros((40, 40), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match="1600 pixels"):
        read_image(tmp_path / "a.png")


def test_i14_the_content_counts_not_the_suffix_and_is_told(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    for volume in (read_image(tmp_path / "a.jpg"), read_label(tmp_path / "a.jpg")):
        assert np.array_equal(volume.array, GREY)
        assert volume.warnings == ("named .jpg, but its content is PNG",)


def test_i15_rows_come_before_columns(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    array = read_image(tmp_path / "a.png").array
    assert array.shape == (6, 4, 3)
    assert array[5, 0, 0] == GREY[5, 0]
