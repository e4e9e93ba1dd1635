"""Row D54, what is made of padding: the values are kept in a file, and are air to a network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.io import Reading, Volume, read_image, without_padding

Make = Callable[..., list[Any]]
Save = Callable[..., Path]


def volume(values: list[int], **facts: int) -> Volume:
    return Volume(np.array(values, np.int16).reshape(-1, 1, 1), np.eye(4), "CT", (), facts)


def test_d54_padding_becomes_the_lowest_value_that_is_none() -> None:
    found = without_padding(
        volume([-3024, -1000, 40, -3024], padding_value=-3024, padding_voxels=2)
    )
    assert found.array.ravel().tolist() == [-1000, -1000, 40, -1000]
    assert found.array.dtype == np.int16
    above = without_padding(volume([3000, -1000, 40], padding_value=3000, padding_voxels=1))
    assert above.array.ravel().tolist() == [-1000, -1000, 40]


def test_d54_a_range_of_padding_goes_as_a_whole() -> None:
    facts = {"padding_value": -3024, "padding_limit": -2000, "padding_voxels": 2}
    found = without_padding(volume([-3024, -2000, -900], **facts))
    assert found.array.ravel().tolist() == [-900, -900, -900]


def test_d54_nothing_changes_without_padding_or_where_it_cannot_be_told_apart() -> None:
    plain = volume([-3024, 5])
    assert without_padding(plain) is plain
    all_of_it = volume([-3024, -3024], padding_value=-3024, padding_voxels=2)
    assert without_padding(all_of_it) is all_of_it
    mixed = volume([-3024, -3024, 5], padding_value=-3024, padding_voxels=1)
    assert without_padding(mixed) is mixed


def test_d54_the_range_is_told_after_rescale(
    tmp_path: Path, make_slices: Make, save_slices: Save
) -> None:
    hu = np.zeros((40, 40, 2), np.int16)
    hu[3, 4, 0], hu[5, 6, 1] = -1023, -1021
    slices = make_slices(hu, PixelPaddingValue=3, PixelPaddingRangeLimit=1)
    found = read_image(save_slices(tmp_path / "in", slices))
    assert (found.facts["padding_value"], found.facts["padding_limit"]) == (-1023, -1021)
    assert not without_padding(found).array.any()


def test_d54_resampling_never_mixes_padding_with_air(
    tmp_path: Path, make_slices: Make, save_slices: Save
) -> None:
    hu = np.full((6, 6, 4), -1000, np.int16)
    hu[:2] = -1024
    slices = make_slices(hu, PixelPaddingValue=0)
    for k, one in enumerate(slices):  # a gantry tilt
        one.ImagePositionPatient = [-10, 20 + 0.3 * k, -30 + 2 * k]
    found = read_image(save_slices(tmp_path / "in", slices), reading=Reading(regularize=True))
    assert np.unique(found.array).tolist() == [-1000]
    assert "padding_value" not in found.facts
    assert any("set to the lowest valid value before resampling" in w for w in found.warnings)
