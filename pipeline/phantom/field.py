"""Smooth random fields over space: how anatomy bends, how edges waver, how tissue mottles."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.shapes import Array

LIMIT = 2.0  # of a drawn coefficient, in standard deviations: no patient is bent out of shape
SPLINE_SD = 0.69  # standard deviation of a cubic B-spline of unit white noise, along one axis


@dataclass(frozen=True, slots=True)
class Field:
    """A field of about unit standard deviation, zero far from the middle.

    Args:
        coefficients: Control values `(n, n, n)` of a uniform cubic B-spline.
        step: Distance between control points, mm.
    """

    coefficients: Array
    step: float

    def on(self, axes: tuple[Array, Array, Array]) -> Array:
        """Values `(I, J, K)` on the grid that three axes in mm span."""
        values = self.coefficients
        for axis in axes:  # each round contracts the first axis and appends the grid's
            values = np.tensordot(values, self._basis(axis), axes=(0, 1))
        return values

    def _basis(self, axis: Array) -> Array:
        """Weights `(len(axis), n)` of the control points along one axis."""
        count = self.coefficients.shape[0]
        centre = 0.5 * (count - 1)
        off = np.abs(axis[:, None] / self.step + centre - np.arange(count))
        inner = 2.0 / 3.0 - off * off + 0.5 * off * off * off
        outer = np.clip(2.0 - off, 0.0, None) ** 3 / 6.0
        return np.asarray(np.where(off < 1.0, inner, outer)) / SPLINE_SD


def draw_field(rng: np.random.Generator, count: int, step: float) -> Field:
    """Draw a field of `count` control points an axis, `step` mm apart."""
    drawn = rng.standard_normal((count, count, count))
    return Field(np.clip(drawn, -LIMIT, LIMIT), step)
