import numpy as np
import pytest

from pipeline.phantom.field import draw_field
from pipeline.phantom.shapes import Array


def grid(step: float, reach: float = 60.0) -> tuple[Array, Array, Array]:
    axis = np.arange(-reach, reach + 0.5 * step, step)
    return axis, axis, axis


def test_a_field_has_unit_deviation_over_many_draws() -> None:
    rng = np.random.default_rng(3)
    values = [draw_field(rng, 7, 40.0).on(grid(24.0)) for _ in range(200)]
    # the limit on coefficients takes a tenth off the variance
    assert float(np.std(values)) == pytest.approx(0.9, abs=0.08)


def test_a_field_does_not_depend_on_the_grid_it_is_read_on() -> None:
    field = draw_field(np.random.default_rng(4), 7, 40.0)
    assert field.on(grid(4.0))[::3, ::3, ::3] == pytest.approx(field.on(grid(12.0)), abs=1e-12)


def test_a_field_keeps_the_order_of_the_axes() -> None:
    field = draw_field(np.random.default_rng(5), 7, 40.0)
    x, y, z = np.array([-30.0, 0.0, 9.0]), np.array([4.0, 50.0]), np.array([-8.0])
    values = field.on((x, y, z))
    assert values.shape == (3, 2, 1)
    assert values[2, 1, 0] == pytest.approx(field.on((x[2:], y[1:], z))[0, 0, 0])


def test_a_field_is_smooth() -> None:
    field = draw_field(np.random.default_rng(6), 7, 40.0)
    values = field.on(grid(1.0, reach=20.0))
    assert float(np.abs(np.diff(values, axis=0)).max()) < 0.25


def test_a_field_fades_to_zero_far_outside() -> None:
    far = np.array([900.0])
    assert float(draw_field(np.random.default_rng(7), 7, 40.0).on((far, far, far))[0, 0, 0]) == 0.0
