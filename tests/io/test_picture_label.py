from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import DataError
from pipeline.io.picture_label import picture_colours, read_picture_label

RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)
CLASSES = np.array([[0, 1, 1, 2], [0, 0, 1, 2], [0, 0, 0, 2]])
COLOURED = np.array([BLACK, RED, GREEN], np.uint8)[CLASSES]


def saved(path: Path, array: NDArray[np.uint8]) -> Path:
    Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
def test_colours_that_are_declared_become_their_integers(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a{suffix}", COLOURED)
    label = read_picture_label(path, colours={RED: 1, GREEN: 300}).array
    assert label.tolist() == np.array([0, 1, 300])[CLASSES].tolist()
    assert label.dtype == np.uint16


def test_a_palettes_colours_count_and_black_may_be_a_class(tmp_path: Path) -> None:
    image = Image.fromarray(CLASSES.astype(np.uint8), mode="P")
    image.putpalette([*RED, *BLACK, *GREEN])
    image.save(tmp_path / "a.png")
    label = read_picture_label(tmp_path / "a.png", colours={RED: 0, BLACK: 7, GREEN: 2}).array
    assert label.tolist() == np.array([0, 7, 2])[CLASSES].tolist()


def test_a_colour_that_is_not_declared_is_refused_with_its_share_and_the_nearest_one(
    tmp_path: Path,
) -> None:
    coloured = COLOURED.copy()
    coloured[0, 0] = (250, 3, 0)
    path = saved(tmp_path / "a.png", coloured)
    with pytest.raises(DataError, match=r"1 colours .* 8.3 % .* \[250, 3, 0\]") as caught:
        read_picture_label(path, colours={RED: 1, GREEN: 2})
    assert "[255, 0, 0]" in caught.value.hint


def test_a_coloured_mask_without_declared_colours_names_the_way_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", COLOURED)
    with pytest.raises(DataError, match=r"a mask in colours \(3 of them\)") as caught:
        read_picture_label(path)
    assert '"colours"' in caught.value.hint


def test_a_jpeg_keeps_no_colours(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", COLOURED)
    with pytest.raises(DataError, match="JPEG does not keep"):
        read_picture_label(path, colours={RED: 1, GREEN: 2})
    with pytest.raises(DataError, match="JPEG does not keep"):
        picture_colours(path)


@pytest.mark.parametrize("alpha", [255, 128])
def test_an_opaque_alpha_channel_is_no_hindrance_a_transparent_one_is(
    tmp_path: Path, alpha: int
) -> None:
    layers = np.dstack([COLOURED, np.full(CLASSES.shape, alpha, np.uint8)])
    path = saved(tmp_path / "a.png", layers)
    if alpha == 255:
        assert read_picture_label(path, colours={RED: 1, GREEN: 2}).array.tolist() == (
            CLASSES.tolist()
        )
    else:
        with pytest.raises(DataError, match="transparent in places"):
            read_picture_label(path, colours={RED: 1, GREEN: 2})


def test_the_colours_of_a_mask_are_listed_the_most_frequent_first(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", COLOURED)
    assert picture_colours(path) == [(BLACK, 6), (GREEN, 3), (RED, 3)]


def test_soft_edges_are_no_mask(tmp_path: Path) -> None:
    ramp = np.zeros((4, 100, 3), np.uint8)
    ramp[..., 0] = np.arange(100)
    with pytest.raises(DataError, match="100 colours, too many for a mask"):
        picture_colours(saved(tmp_path / "a.png", ramp))
