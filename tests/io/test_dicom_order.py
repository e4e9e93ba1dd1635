"""Rows D01 to D12: order, orientation and spacing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from pipeline.io import Reading, read_image

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Placed = Callable[..., bool]


def raw(one: Any, keyword: str, vr: str, text: bytes) -> None:
    """Put bytes into an element that pydicom itself would not write."""
    tag = Tag(keyword)
    value = text + b" " * (len(text) % 2)
    one.pop(tag, None)
    one[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def rotation(angles: tuple[float, float, float]) -> Any:
    x, y, z = angles
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def tilted(slices: list[Any], by: float = 0.5) -> list[Any]:
    for k, one in enumerate(slices):
        one.ImagePositionPatient = [-10.0, 20.0 + by * k, -30.0 + 2.0 * k]
    return slices


@pytest.mark.parametrize("number", ["reversed", "shuffled", "absent", "empty", "one", "1.0"])
def test_d01_instance_numbers_do_not_matter(
    number: str, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    slices = make_slices(hu)
    order = np.random.default_rng(1).permutation(len(slices))
    for k, one in enumerate(slices):
        if number == "absent":
            del one.InstanceNumber
        else:
            text = {"reversed": str(9 - k), "shuffled": str(order[k]), "empty": "", "one": "1"}
            raw(one, "InstanceNumber", "LO", text.get(number, f"{k}.0").encode())
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert is_placed(volume)
    assert volume.warnings == ()


@pytest.mark.parametrize(
    "name", ["{}.dcm", "{:03d}", "Schädel {}.dcm", "脳 {}", "{}.IMA", "1.2.840.{}"]
)
def test_d02_file_names_do_not_matter(
    name: str, tmp_path: Path, hu: Any, make_slices: Make, is_placed: Placed
) -> None:
    slices = make_slices(np.repeat(hu[..., :1], 9, axis=2) + 100 * np.arange(9))
    for k, one in enumerate(slices):
        one.save_as(tmp_path / name.format(12 - k))
    assert is_placed(read_image(tmp_path))


@pytest.mark.parametrize("location", [None, "same", "reversed"])
def test_d03_slice_location_does_not_matter(
    location: str | None,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
    is_placed: Placed,
) -> None:
    slices = make_slices(hu)
    for k, one in enumerate(slices):
        if location:
            one.SliceLocation = 5.0 if location == "same" else -k
    assert is_placed(read_image(save_slices(tmp_path / "ct", slices)))


def test_d04_a_table_that_moves_down_turns_nothing(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    slices = make_slices(hu)
    for k, one in enumerate(slices):
        one.InstanceNumber = len(slices) - k
        one.ImagePositionPatient = [-10, 20, -30 - 2.0 * k]
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert is_placed(volume, step=(0, 0, -2.0))


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ((0, 1, 0), (0, 0, -1)),
        ((1, 0, 0), (0, 0, -1)),
        ((1, 0, 0), (0, -1, 0)),
        ((-1, 0, 0), (0, 1, 0)),
        ((-1, 0, 0), (0, -1, 0)),
        (tuple(rotation((0.3, -0.4, 0.2))[:, 0]), tuple(rotation((0.3, -0.4, 0.2))[:, 1])),
    ],
    ids=["sagittal", "coronal", "feet first", "prone", "turned", "double oblique"],
)
def test_d05_every_orientation_is_right(
    row: Any, column: Any, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save,
    is_placed: Placed,
) -> None:  # fmt: skip
    folder = save_slices(tmp_path / "ct", make_slices(hu, row=row, column=column))
    volume = read_image(folder)
    assert is_placed(volume, row=row, column=column)
    assert volume.warnings == ()


def test_d06_rounded_cosines_are_made_orthonormal(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    turned = rotation((0.31, -0.42, 0.23))
    row, column = tuple(turned[:, 0]), tuple(turned[:, 1])
    slices = make_slices(hu, row=row, column=column)
    for one in slices:
        one.ImageOrientationPatient = [f"{value:.5f}" for value in (*row, *column)]
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert volume.warnings == ()
    assert is_placed(volume, row=row, column=column, atol=1e-3)
    assert volume.affine is not None
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    assert np.abs(axes.T @ axes - np.eye(3)).max() < 1e-9


def test_d07_row_spacing_is_not_column_spacing(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    spacing = (0.4, 1.9, 3.0)
    volume = read_image(save_slices(tmp_path / "ct", make_slices(hu, spacing=spacing)))
    assert is_placed(volume, spacing=spacing)
    assert volume.spacing == pytest.approx(spacing)


def test_d08_a_tilted_series_keeps_every_world_point_and_says_so(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    volume = read_image(save_slices(tmp_path / "ct", tilted(make_slices(hu))))
    assert is_placed(volume, step=(0, 0.5, 2.0))
    assert "14.04 degrees" in volume.warnings[0]


def test_d08_a_tilted_series_is_made_orthogonal_when_asked_to(
    tmp_path: Path, make_slices: Make, save_slices: Save
) -> None:
    i, j, k = np.meshgrid(range(7), range(9), range(6), indexing="ij")
    # linear in world coordinates, so that linear interpolation is exact
    slices = tilted(make_slices(np.asarray(8 * i + 12 * j + (8 + 20) * k, np.int16)))
    folder = save_slices(tmp_path / "ct", slices)
    volume = read_image(folder, reading=Reading(regularize=True))
    assert volume.affine is not None
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    assert axes.T @ axes == pytest.approx(np.eye(3))
    index = np.stack(np.meshgrid(*map(range, volume.shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(index @ volume.affine[:3, :3].T + volume.affine[:3, 3], -1, 0)
    # 16 a mm along x, 16 along y, 10 along z, from the first voxel; LPS against RAS
    expected = 16 * (-x + 10) + 16 * (-y - 20) + 10 * (z + 30)
    inside = np.greater(volume.array, 0)
    assert inside.sum() > 0.6 * inside.size
    assert np.abs(volume.array[inside] - expected[inside]).max() < 1e-3
    assert "even grid" in volume.warnings[0]


def test_d09_positions_win_over_the_gantry_tilt_attribute(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    slices = make_slices(hu, GantryDetectorTilt=12.5)
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert is_placed(volume)
    assert volume.warnings == ()


@pytest.mark.parametrize("thickness", [0.5, 7.5, 0, None])
def test_d10_positions_win_over_slice_thickness(
    thickness: float | None,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
    is_placed: Placed,
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu, SliceThickness=thickness))
    assert is_placed(read_image(folder))


@pytest.mark.parametrize("between", [-2.0, 5.0])
def test_d11_positions_win_over_spacing_between_slices(
    between: float,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
    is_placed: Placed,
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu, SpacingBetweenSlices=between))
    assert is_placed(read_image(folder))


@pytest.mark.parametrize("grain", [0.001, 0.004])
def test_d12_rounded_and_jittered_positions_are_right_and_silent(
    grain: float, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    spacing = (0.5, 0.75, 0.6666667)
    slices = make_slices(hu, spacing=spacing)
    noise = np.random.default_rng(2).uniform(-grain, grain, (len(slices), 3))
    for one, away in zip(slices, noise, strict=True):
        place = np.array([float(value) for value in one.ImagePositionPatient]) + away
        one.ImagePositionPatient = [f"{value:.3f}" for value in place]
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert volume.warnings == ()
    assert is_placed(volume, spacing=spacing, atol=0.01)
