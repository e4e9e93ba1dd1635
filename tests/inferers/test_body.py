"""The body's box: everything that is no air and no table."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.inferers.body import body_box

SPACING = (2.0, 2.0, 4.0)
SHAPE = (150, 150, 40)


def air() -> NDArray[np.int16]:
    rng = np.random.default_rng(0)
    return rng.normal(-1000, 30, SHAPE).astype(np.int16)


def ellipse(centre: tuple[int, int], radii: tuple[int, int]) -> NDArray[np.bool_]:
    x, y = np.ogrid[: SHAPE[0], : SHAPE[1]]
    inside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1
    return np.broadcast_to(inside[..., None], SHAPE)


def around(box: tuple[tuple[int, int], ...] | None, axis: int, low: int, high: int) -> None:
    """The box holds `low` to `high`; the tip of a round one may be missed by a voxel."""
    assert box is not None
    assert max(0, low - 4) <= box[axis][0] <= low + 1
    assert high - 1 <= box[axis][1] <= min(SHAPE[axis], high + 4)


def test_a_trunk_in_air_is_found_with_its_lungs() -> None:
    scan = air()
    scan[ellipse((70, 80), (50, 35))] = 40
    scan[ellipse((55, 80), (20, 18))] = -800
    box = body_box(scan, SPACING)
    around(box, 0, 20, 121)
    around(box, 1, 45, 116)
    around(box, 2, 0, 40)


def test_the_table_is_left_out_though_the_body_lies_on_it() -> None:
    scan = air()
    scan[ellipse((75, 70), (50, 30))] = 40
    scan[10:140, 100:102] = 300  # its shell, 4 mm, right below the back
    scan[10:140, 102:125] = -750  # foam
    scan[10:140, 125:127] = 300
    box = body_box(scan, SPACING)
    around(box, 1, 40, 101)
    around(box, 0, 25, 126)


def test_two_legs_and_an_arm_apart_are_all_the_body() -> None:
    scan = air()
    scan[ellipse((40, 60), (20, 20))] = 30
    scan[ellipse((100, 70), (20, 20))] = 30
    scan[ellipse((135, 120), (8, 8))] = 30
    box = body_box(scan, SPACING)
    around(box, 0, 20, 144)
    around(box, 1, 40, 129)


def test_the_tip_of_a_nose_belongs_to_the_head() -> None:
    scan = air()
    scan[ellipse((70, 80), (40, 40))] = 30
    scan[68:73, 34:41] = 30
    around(body_box(scan, SPACING), 1, 34, 121)


def test_specks_and_wires_are_no_body() -> None:
    scan = air()
    scan[ellipse((75, 75), (30, 30))] = 30
    scan[5:9, 5:9, 3:5] = 500
    scan[140, :, 20] = 2000
    around(body_box(scan, SPACING), 0, 45, 106)


def test_a_body_that_ends_within_the_scan_ends_its_box() -> None:
    scan = air()
    scan[ellipse((75, 75), (40, 40))] = 30
    scan[..., 25:] = -1000
    around(body_box(scan, SPACING), 2, 0, 25)


@pytest.mark.parametrize("value", [-1000, 40])
def test_nothing_but_air_has_no_box_and_nothing_but_tissue_is_all_of_it(value: int) -> None:
    scan = np.full(SHAPE, value, np.int16)
    box = body_box(scan, SPACING)
    assert box == (None if value < 0 else tuple((0, n) for n in SHAPE))


def test_coarse_voxels_and_thin_scans_are_looked_at_as_they_are() -> None:
    scan = np.full((10, 12, 3), -1000.0)
    scan[2:8, 3:9] = 20
    box = body_box(scan, (8.0, 8.0, 10.0))
    assert box is not None
    assert box[2] == (0, 3)
    assert box[0][0] <= 2
    assert box[0][1] >= 8
