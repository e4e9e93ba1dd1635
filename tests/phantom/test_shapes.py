import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.phantom.draw import Draw
from pipeline.phantom.shapes import Array, Capsule, Column, Ellipsoid, Shape, Trunk


def at(shape: Shape, *points: tuple[float, float, float]) -> list[float]:
    x, y, z = np.array(points, dtype=float).T
    return [float(value) for value in shape.distance(x, y, z)]


def cloud(seed: int, reach: float) -> tuple[Array, Array, Array]:
    x, y, z = np.random.default_rng(seed).uniform(-reach, reach, (3, 4000))
    return x, y, z


def test_a_ball_measures_the_true_distance_and_its_centre_is_one_radius_deep() -> None:
    ball = Ellipsoid((1.0, 2.0, 3.0), (5.0, 5.0, 5.0))
    found = at(ball, (1, 2, 3), (1, 2, 8), (1, 12, 3), (4, 2, 7))
    assert found == pytest.approx([-5.0, 0.0, 5.0, 0.0])


@pytest.mark.parametrize("off", [0.0, 1e-300, 1e-12, 1e-6, 1e-3])
def test_an_ellipsoid_has_no_hole_at_its_centre(off: float) -> None:
    egg = Ellipsoid((0.0, 0.0, 0.0), (9.0, 14.0, 30.0))
    assert max(at(egg, (off, 0, 0), (0, off, 0), (0, 0, off))) < -8.0


def test_the_surface_of_a_tilted_ellipsoid_lies_where_its_axes_end() -> None:
    turn = math.sqrt(0.5)
    egg = Ellipsoid(
        (0.0, 0.0, 0.0), (10.0, 4.0, 6.0), ((turn, turn, 0), (-turn, turn, 0), (0, 0, 1))
    )
    assert at(egg, (10 * turn, 10 * turn, 0), (-4 * turn, 4 * turn, 0), (0, 0, -6)) == (
        pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    )


def test_a_capsule_measures_to_its_segment() -> None:
    rod = Capsule((0.0, 0.0, 0.0), (10.0, 0.0, 0.0), 2.0)
    assert at(rod, (5, 3, 0), (-3, 4, 0), (13, 0, 4), (5, 0, 0)) == pytest.approx([1, 3, 3, -2])


def test_a_capsule_of_no_length_is_a_ball() -> None:
    assert at(Capsule((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 2.0), (1, 1, 4)) == pytest.approx([1.0])


def test_a_column_follows_its_meander() -> None:
    column = Column(3.0, 0.0, 2.0, swing=(5.0, 0.0), wave=40.0)
    assert at(column, (3, 0, 0), (8, 0, 10), (-2, 0, 30), (8, 4, 10)) == (
        pytest.approx([-2.0, -2.0, -2.0, 2.0])
    )


def test_a_trunk_is_zero_on_its_outline_negative_on_its_axis_and_endless() -> None:
    trunk = Trunk(120.0, 90.0)
    corner = 0.5 ** (1 / 2.4)
    found = at(trunk, (120, 0, 0), (0, -90, 700), (120 * corner, 90 * corner, 0), (0, 0, 0))
    assert found[:3] == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)
    assert found[3] < -20.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_nothing_of_an_ellipsoid_reaches_out_of_its_box(seed: int) -> None:
    egg = Draw(seed).ellipsoid((4.0, -7.0, 1.0), (3, 30), (3, 30), (3, 30), tilt=40)
    low, high = egg.bounds()
    points = cloud(seed, 45.0)
    inside = egg.distance(*points) < 0.0
    for axis, values in enumerate(points):
        assert np.all(values[inside] >= low[axis])
        assert np.all(values[inside] <= high[axis])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_drawn_axes_are_a_rotation(seed: int) -> None:
    rows = np.array(Draw(seed).axes(30.0))
    assert rows @ rows.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(rows) == pytest.approx(1.0)
