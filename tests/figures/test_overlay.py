from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import GeometryError
from pipeline.figures import colour_of, overlay
from pipeline.figures.planes import centre, cut, ras_spacing, to_ras

RAS = np.diag([2.0, 2.0, 4.0, 1.0])
NAMES = ["organ", "lesion"]


@pytest.fixture
def scan() -> Any:
    return np.random.default_rng(0).normal(0, 20, (40, 30, 12))


@pytest.fixture
def label() -> Any:
    out = np.zeros((40, 30, 12), np.uint8)
    out[5:25, 5:20, 2:9] = 1
    out[8:12, 8:12, 4:7] = 2
    return out


def pixels(path: Path) -> Any:
    with Image.open(path) as page:
        return np.asarray(page.convert("RGB")).astype(int)


def has_colour(path: Path, colour: str) -> bool:
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return bool((np.abs(pixels(path) - wanted).max(axis=-1) < 3).sum() > 50)


def test_the_page_is_1400_wide_dark_and_names_each_class(
    scan: Any, label: Any, tmp_path: Path
) -> None:
    path = overlay(scan, label, label, NAMES, tmp_path / "a.png", affine=RAS, title="a case")
    assert path == tmp_path / "a.png"
    page = pixels(path)
    assert page.shape[1] == 1400
    assert page[:3].max() < 30
    assert has_colour(path, colour_of(0))
    assert has_colour(path, colour_of(1))
    assert list(tmp_path.iterdir()) == [path]


def test_a_class_that_is_nowhere_is_not_in_the_legend(
    scan: Any, label: Any, tmp_path: Path
) -> None:
    path = overlay(scan, label % 2, None, NAMES, tmp_path / "a.png", affine=RAS)
    assert has_colour(path, colour_of(0))
    assert not has_colour(path, colour_of(1))


@pytest.mark.parametrize("known", [True, False])
def test_a_reference_is_not_needed(known: bool, scan: Any, label: Any, tmp_path: Path) -> None:
    both = overlay(scan, label, label, NAMES, tmp_path / "b.png", affine=RAS)
    one = overlay(scan, label if known else None, None, NAMES, tmp_path / "a.png", affine=RAS)
    assert pixels(one).shape[0] < pixels(both).shape[0]
    assert has_colour(one, colour_of(1)) == known


def test_the_window_decides_what_is_black_and_white(scan: Any, tmp_path: Path) -> None:
    bright = overlay(scan, None, None, NAMES, tmp_path / "a.png", affine=RAS, window=(-900, -800))
    dark = overlay(scan, None, None, NAMES, tmp_path / "b.png", affine=RAS, window=(800, 900))
    assert pixels(bright).mean() > 3 * pixels(dark).mean()


@pytest.mark.parametrize("shape", [(50, 70), (50, 70, 3)])
def test_a_picture_is_shown_beside_its_masks(shape: tuple[int, ...], tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    mask = np.zeros((50, 70), np.uint8)
    mask[10:30, 20:50] = 255
    path = overlay(picture, mask, mask, {"nucleus": 255}, tmp_path / "a.png")
    assert has_colour(path, colour_of(0))


def test_regions_as_channels_are_painted_in_their_order(
    scan: Any, label: Any, tmp_path: Path
) -> None:
    regions = np.stack([label > 0, label > 1], axis=-1)
    overlay(scan, regions, None, NAMES, tmp_path / "a.png", affine=RAS)
    overlay(scan, label, None, NAMES, tmp_path / "b.png", affine=RAS)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_file_does_not_name_the_writing_program(scan: Any, tmp_path: Path) -> None:
    overlay(scan, None, None, NAMES, tmp_path / "a.png", affine=RAS)
    with Image.open(tmp_path / "a.png") as page:
        assert set(page.info) == {"dpi"}


def test_masks_of_another_grid_are_refused_and_leave_no_file(
    scan: Any, label: Any, tmp_path: Path
) -> None:
    with pytest.raises(GeometryError, match=r"\(40, 30, 11\)"):
        overlay(scan, label[..., 1:], None, NAMES, tmp_path / "a.png", affine=RAS)
    assert list(tmp_path.iterdir()) == []


def test_drawing_is_the_same_for_every_storage_order(scan: Any, label: Any, tmp_path: Path) -> None:
    overlay(scan, label, label, NAMES, tmp_path / "a.png", affine=RAS)
    # the same case stored as (k, -i, j)
    stored = np.zeros((4, 4))
    stored[2, 0], stored[0, 1], stored[1, 2], stored[3, 3] = 4, -2, 2, 1
    stored[0, 3] = 39 * 2.0
    turned = [np.transpose(one[::-1], (2, 0, 1)) for one in (scan, label)]
    overlay(turned[0], turned[1], turned[1], NAMES, tmp_path / "b.png", affine=stored)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_patients_right_and_front_are_on_the_left_and_top() -> None:
    array = np.zeros((4, 5, 6))
    array[3, 4, 5] = 1  # the most right, anterior, superior voxel
    point = (3, 4, 5)
    for plane in cut(array, [None], point, (1.0, 2.0, 3.0), letters=True):
        assert plane.image[0, 0] == 1
        assert plane.letters is not None
        assert plane.letters[0] in "RA"
        assert plane.letters[2] in "AS"
    axial, coronal, sagittal = cut(array, [None], point, (1.0, 2.0, 3.0), letters=True)
    assert axial.letters == ("R", "L", "A", "P")
    assert coronal.letters == ("R", "L", "S", "I")
    assert sagittal.letters == ("A", "P", "S", "I")
    assert axial.size_mm == (10, 4)
    assert coronal.size_mm == (18, 4)
    assert sagittal.size_mm == (18, 10)


def test_the_planes_go_through_the_rarest_structure(label: Any) -> None:
    point = centre(label, [1, 2])
    assert label[point] == 2
    assert centre(np.zeros_like(label), [1, 2]) == (20, 15, 6)


def test_spacing_follows_the_axes_when_they_are_turned() -> None:
    affine = np.array([[0, 0, -3.0, 0], [1, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])
    array = np.arange(24).reshape(2, 3, 4)
    assert ras_spacing(affine) == (3, 1, 2)
    assert to_ras(array, affine).shape == (4, 2, 3)
    assert to_ras(array, affine)[3, 1, 2] == array[1, 2, 0]
