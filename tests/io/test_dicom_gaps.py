"""Rows D13 to D22: gaps, ranges, and geometry that cannot be used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from pipeline.errors import GeometryError, InvalidValueError
from pipeline.io import Reading, read_header, read_image

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Placed = Callable[..., bool]


def raw(one: Any, keyword: str, vr: str, text: bytes) -> None:
    """Put bytes into an element that pydicom itself would not write."""
    tag = Tag(keyword)
    value = text + b" " * (len(text) % 2)
    one.pop(tag, None)
    one[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def shift(index: int, axis: int, by: float) -> Callable[[list[Any]], None]:
    def apply(slices: list[Any]) -> None:
        place = [float(value) for value in slices[index].ImagePositionPatient]
        place[axis] += by
        slices[index].ImagePositionPatient = place

    return apply


def stretched(slices: list[Any], factor: float, start: int) -> list[Any]:
    for k, one in enumerate(slices):
        z = -30 + 2.0 * min(k, start) + 2.0 * factor * max(0, k - start)
        one.ImagePositionPatient = [-10, 20, z]
    return slices


def without_positions(slices: list[Any]) -> None:
    for one in slices:
        del one.ImagePositionPatient


def all_at_one_place(slices: list[Any]) -> None:
    for one in slices:
        one.ImagePositionPatient = [-10, 20, -30]


@pytest.mark.parametrize(("thickness", "depth"), [(5.0, 5.0), (None, 1.0), (0, 1.0)])
def test_d13_one_slice_is_as_deep_as_its_thickness_and_says_so(
    thickness: float | None,
    depth: float,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
) -> None:
    slices = make_slices(hu[..., :1], SliceThickness=thickness)
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert volume.spacing == pytest.approx((0.5, 0.75, depth))
    assert "a single slice" in volume.warnings[0]


def test_d13_two_slices_are_right(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    volume = read_image(save_slices(tmp_path / "ct", make_slices(hu[..., :2])))
    assert is_placed(volume)
    assert volume.warnings == ()


@pytest.mark.parametrize("missing", [{1}, {2}, {4}, {2, 3}, {1, 4}])
def test_d14_a_missing_slice_is_refused_with_place_and_size(
    missing: set[int], tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = [one for k, one in enumerate(make_slices(hu)) if k not in missing]
    folder = save_slices(tmp_path / "ct", slices)
    size = 6.0 if missing == {2, 3} else 4.0
    place = -30 + 2.0 * (min(missing) - 1)
    with pytest.raises(GeometryError, match=rf"a gap of {size:.3f} mm .* {place:.2f} and") as error:
        read_image(folder)
    assert "--regularize" in error.value.hint
    with pytest.raises(GeometryError, match="a gap"):
        read_header(folder)


def test_d14_a_gap_is_filled_linearly_when_asked_to(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    slices = make_slices(hu)
    del slices[2]
    folder = save_slices(tmp_path / "ct", slices)
    volume = read_image(folder, reading=Reading(regularize=True))
    assert np.array_equal(volume.array, hu)
    assert is_placed(volume)
    assert "a gap of 4.000 mm is filled in" in volume.warnings[0]


@pytest.mark.parametrize("keyword", ["ImagesInAcquisition", "NumberOfSlices"])
def test_d15_slices_missing_at_an_end_are_told_where_the_header_counts_them(
    keyword: str, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu, **{keyword: 8}))
    assert read_image(folder).warnings == (f"{keyword} is 8, 6 images are here",)


@pytest.mark.parametrize(("factor", "start"), [(1.06, 4), (1.06, 2), (2.5, 2), (0.5, 3)])
def test_d16_uneven_spacing_is_refused(
    factor: float, start: int, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", stretched(make_slices(hu), factor, start))
    with pytest.raises(GeometryError, match="mm apart"):
        read_image(folder)


def test_d16_uneven_spacing_is_made_even_when_asked_to(
    tmp_path: Path, make_slices: Make, save_slices: Save
) -> None:
    k = np.broadcast_to(np.arange(6), (4, 4, 6))
    hu = np.asarray(40 * np.where(k > 3, k + (k - 3), k), np.int16)
    slices = stretched(make_slices(hu), 2, 3)
    folder = save_slices(tmp_path / "ct", slices)
    volume = read_image(folder, reading=Reading(regularize=True))
    assert volume.array.shape == (4, 4, 8)
    assert volume.array[0, 0].tolist() == [40 * place for place in range(8)]


@pytest.mark.parametrize(
    "damage", [shift(3, 0, 0.4), shift(3, 1, -0.3), shift(0, 0, 0.2), shift(5, 1, 0.1)]
)
def test_d17_a_slice_off_the_line_is_refused(
    damage: Callable[[list[Any]], None],
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
) -> None:
    slices = make_slices(hu)
    damage(slices)
    with pytest.raises(GeometryError, match="off the line"):
        read_image(save_slices(tmp_path / "ct", slices))


def test_d17_a_drift_is_refused_and_mended_when_asked_to(
    tmp_path: Path, make_slices: Make, save_slices: Save
) -> None:
    i, _, k = np.meshgrid(range(8), range(4), range(6), indexing="ij")
    drift = np.round(0.1 * np.arange(6) ** 2, 3)
    # the value is 100 a mm of world x, so a slice that was moved shows it
    slices = make_slices(np.asarray(np.rint(50 * i + 100 * drift[k]), np.int16))
    for n, one in enumerate(slices):
        one.ImagePositionPatient = [-10 + drift[n], 20, -30 + 2.0 * n]
    folder = save_slices(tmp_path / "ct", slices)
    with pytest.raises(GeometryError, match="off the line"):
        read_image(folder)
    volume = read_image(folder, reading=Reading(regularize=True))
    assert volume.affine is not None
    x = -(volume.affine[0, 0] * np.arange(volume.shape[0]) + volume.affine[0, 3])
    expected = 100 * (x + 10)
    for plane in np.moveaxis(volume.array, 2, 0):
        inside = plane[:, 0] > 0
        assert inside.sum() >= 6
        assert plane[inside, 0] == pytest.approx(expected[inside], abs=0.5)


def test_d18_two_ranges_are_named_and_picked(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    slices = make_slices(hu)
    for one in slices[3:]:
        one.ImagePositionPatient[2] = float(one.ImagePositionPatient[2]) + 300
    folder = save_slices(tmp_path / "ct", slices)
    with pytest.raises(GeometryError) as error:
        read_image(folder)
    assert "2 ranges: [1] 3 slices from -30.00 to -26.00 mm; [2] 3 slices from 276.00" in str(
        error.value
    )
    assert "--range" in error.value.hint
    assert is_placed(read_image(folder, reading=Reading(part=1)))
    second = read_image(folder, reading=Reading(part=2))
    assert is_placed(second, origin=(-10, 20, 270))
    assert np.array_equal(second.array, hu[..., 3:])
    with pytest.raises(InvalidValueError, match="no range 3"):
        read_image(folder, reading=Reading(part=3))


@pytest.mark.parametrize(
    "damage",
    [
        without_positions,
        lambda slices: delattr(slices[2], "ImagePositionPatient"),
        all_at_one_place,
        lambda slices: raw(slices[1], "ImagePositionPatient", "DS", b"-10\\20 "),
        lambda slices: raw(slices[1], "ImagePositionPatient", "DS", b"NaN\\20\\3"),
        lambda slices: raw(slices[1], "ImagePositionPatient", "DS", b"inf\\20\\3"),
    ],
    ids=["absent on all", "absent on one", "all equal", "two values", "NaN", "infinite"],
)
def test_d19_unusable_positions_are_refused(
    damage: Callable[[list[Any]], None],
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
) -> None:
    slices = make_slices(hu)
    damage(slices)
    with pytest.raises(GeometryError):
        read_image(save_slices(tmp_path / "ct", slices))


@pytest.mark.parametrize(
    "cosines",
    [None, [0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0, 0.5, 0.866, 0], [1, 0, 0, 0, 1]],
    ids=["absent", "zero", "not unit", "not orthogonal", "five values"],
)
def test_d20_unusable_orientation_is_refused(
    cosines: list[float] | None, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        del one.ImageOrientationPatient
        if cosines is not None:
            raw(one, "ImageOrientationPatient", "DS", "\\".join(map(str, cosines)).encode())
    with pytest.raises(GeometryError):
        read_image(save_slices(tmp_path / "ct", slices))


@pytest.mark.parametrize("spacing", [None, [0, 0.5], [-0.5, 0.5], [0.5], "imager"])
def test_d21_unusable_pixel_spacing_is_refused(
    spacing: Any, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        del one.PixelSpacing
        if spacing == "imager":
            one.ImagerPixelSpacing = [0.5, 0.5]
        elif spacing is not None:
            raw(one, "PixelSpacing", "DS", "\\".join(map(str, spacing)).encode())
    with pytest.raises(GeometryError, match="PixelSpacing"):
        read_image(save_slices(tmp_path / "ct", slices))


def test_d22_a_decimal_comma_is_read_where_it_can_be_nothing_else(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, is_placed: Placed
) -> None:
    slices = make_slices(hu)
    for k, one in enumerate(slices):
        raw(one, "PixelSpacing", "DS", b"0,75\\0,5")
        raw(one, "ImagePositionPatient", "DS", f"-10,0\\20,0\\{-30 + 2 * k},0".encode())
        raw(one, "RescaleIntercept", "DS", b"-1024,0 ")
    assert is_placed(read_image(save_slices(tmp_path / "ct", slices)))


@pytest.mark.parametrize("text", [b"0,75,0,5", b"1,250\\1,250", b"0.7,5\\0.5"])
def test_d22_an_ambiguous_comma_is_refused(
    text: bytes, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        raw(one, "PixelSpacing", "DS", text)
    with pytest.raises(GeometryError, match="PixelSpacing is '"):
        read_image(save_slices(tmp_path / "ct", slices))
