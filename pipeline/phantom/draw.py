"""Random draws in the words of anatomy: a value between bounds, a point in a box, a tilt."""

import math

import numpy as np

from pipeline.phantom.shapes import Ellipsoid, Point

Span = tuple[float, float]


class Draw:
    """A seeded source; the order of calls decides what a patient looks like."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.Generator(np.random.PCG64(seed))

    def between(self, low: float, high: float) -> float:
        """A uniform value."""
        return low + (high - low) * float(self.rng.random())

    def count(self, low: int, high: int) -> int:
        """A whole number, both bounds included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """True in `share` of the draws."""
        return float(self.rng.random()) < share

    def point(self, x: Span, y: Span, z: Span) -> Point:
        """A uniform point in a box, mm; with radii for bounds, three radii."""
        return self.between(*x), self.between(*y), self.between(*z)

    def axes(self, sd_degrees: float) -> tuple[Point, Point, Point]:
        """Rows of a rotation by normal angles about x, y and z, each within two deviations."""
        angles = np.clip(self.rng.standard_normal(3), -2.0, 2.0) * math.radians(sd_degrees)
        (sx, sy, sz), (cx, cy, cz) = np.sin(angles).tolist(), np.cos(angles).tolist()
        return (
            (cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz),
            (cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz),
            (-sy, sx * cy, cx * cy),
        )

    def ellipsoid(self, centre: Point, x: Span, y: Span, z: Span, *, tilt: float) -> Ellipsoid:
        """An ellipsoid with radii in the spans, tilted by angles of `tilt` degrees."""
        return Ellipsoid(centre, self.point(x, y, z), self.axes(tilt))
