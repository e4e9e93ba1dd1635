import numpy as np
import pytest

from pipeline.phantom.shapes import Ellipsoid, Shape
from pipeline.phantom.solids import Bands, Common, Dome, Front, Grown, Melted, Outside, Shell

BALL = Ellipsoid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0))
RIGHT = Ellipsoid((8.0, 0.0, 0.0), (10.0, 10.0, 10.0))


def at(shape: Shape, x: float, y: float = 0.0, z: float = 0.0) -> float:
    return float(shape.distance(np.array([x]), np.array([y]), np.array([z]))[0])


def test_common_keeps_what_is_in_all() -> None:
    lens = Common(BALL, (RIGHT,))
    assert at(lens, 4) < 0
    assert at(lens, -6) > 0
    assert at(lens, 14) > 0


def test_outside_turns_a_solid_inside_out_and_keeps_its_gap() -> None:
    assert at(Outside(BALL), 13) == pytest.approx(-3)
    assert at(Outside(BALL, gap=4.0), 13) == pytest.approx(1)


def test_melted_solids_have_a_fillet_at_their_seam_and_are_untouched_far_from_it() -> None:
    other = Ellipsoid((24.0, 0.0, 0.0), (10.0, 10.0, 10.0))
    both = Melted(BALL, other, 12.0)
    assert at(BALL, 12) > 0
    assert at(other, 12) > 0
    assert at(both, 12) < 0
    assert at(both, -10) == pytest.approx(0)


def test_the_box_of_melted_solids_holds_the_fillet() -> None:
    low, high = Melted(BALL, RIGHT, 12.0).bounds()
    assert low[0] <= -10
    assert high[0] >= 18


def test_growing_moves_surface_and_box() -> None:
    assert at(Grown(BALL, 3.0), 13) == pytest.approx(0)
    assert at(Grown(BALL, -3.0), 7) == pytest.approx(0)
    assert Grown(BALL, 3.0).bounds()[1] == (13.0, 13.0, 13.0)


def test_a_shell_is_as_thick_and_as_deep_as_said() -> None:
    shell = Shell(BALL, depth=3.0, thickness=2.0)
    assert [at(shell, x) for x in (8, 7, 6, 5)] == pytest.approx([0, -1, 0, 1])


def test_bands_repeat_and_slope() -> None:
    level = Bands(period=30.0, thickness=8.0, start=5.0)
    assert [at(level, 0, 0, z) for z in (5, 35, -25, 9, 20)] == pytest.approx([-4, -4, -4, 0, 11])
    sloping = Bands(period=30.0, thickness=8.0, start=0.0, slope=0.5)
    assert at(sloping, 0, 20, -10) == pytest.approx(at(sloping, 0, 0, 0))


def test_a_dome_is_highest_in_the_middle_and_drops_to_the_wall() -> None:
    dome = Dome(70.0, 30.0, 100.0, 75.0)
    rim = [at(dome, 0, 0, 70), at(dome, 100, 0, 40), at(dome, 0, -75, 40)]
    assert rim == pytest.approx([0, 0, 0])
    assert at(dome, 0, 0, 0) < 0 < at(dome, 90, 0, 60)


def test_front_is_all_before_a_plane() -> None:
    assert at(Front(10.0), 0, 12) == pytest.approx(-2)
