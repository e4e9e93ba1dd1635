"""Analytic solids in mm: a signed distance each, negative inside, and a box that holds them.

Distances are first-order: exact on the surface, close to exact near it, and below zero everywhere
inside, the very centre included. Coordinates are RAS mm of a patient (+x right, +y front, +z up).
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Point = tuple[float, float, float]
Bounds = tuple[Point, Point]

EVERYWHERE: Bounds = ((-math.inf,) * 3, (math.inf,) * 3)
UPRIGHT: tuple[Point, Point, Point] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


class Shape(Protocol):
    """A solid that knows where its surface is."""

    def bounds(self) -> Bounds:
        """Lowest and highest corner of a box around the solid, in mm; infinite where open."""

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm at points given by three arrays of one shape."""


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipsoid; `axes` holds the unit vectors of its three radii as rows."""

    centre: Point
    radii: Point
    axes: tuple[Point, Point, Point] = UPRIGHT

    def bounds(self) -> Bounds:
        """Box of the tilted ellipsoid."""
        reach = np.sqrt(((np.array(self.axes) * np.array(self.radii)[:, None]) ** 2).sum(axis=0))
        return _box(np.array(self.centre) - reach, np.array(self.centre) + reach)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance along the gradient of the radial function, guarded at the centre."""
        dx, dy, dz = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        once, twice = np.zeros_like(dx), np.zeros_like(dx)
        for axis, radius in zip(self.axes, self.radii, strict=True):
            along = (axis[0] * dx + axis[1] * dy + axis[2] * dz) / radius
            along *= along
            once += along
            along /= radius * radius
            twice += along
        return _scaled(np.sqrt(once), np.sqrt(twice), min(self.radii))


@dataclass(frozen=True, slots=True)
class Capsule:
    """A straight rod with round ends: all points within `radius` of the segment."""

    start: Point
    end: Point
    radius: float

    def bounds(self) -> Bounds:
        """Box of the rod."""
        ends = np.array((self.start, self.end))
        return _box(ends.min(axis=0) - self.radius, ends.max(axis=0) + self.radius)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance to the segment less the radius."""
        way = np.subtract(self.end, self.start)
        dx, dy, dz = x - self.start[0], y - self.start[1], z - self.start[2]
        length = max(float(way @ way), 1e-12)
        share = np.clip((dx * way[0] + dy * way[1] + dz * way[2]) / length, 0.0, 1.0)
        dx, dy, dz = dx - share * way[0], dy - share * way[1], dz - share * way[2]
        return np.asarray(np.sqrt(dx * dx + dy * dy + dz * dz) - self.radius)


@dataclass(frozen=True, slots=True)
class Column:
    """An endless upright tube whose centre meanders with z.

    Args:
        x: Centre at rest, mm.
        y: The same, towards the front.
        radius: Of the tube, mm.
        swing: Amplitudes of the meander along x and y, mm.
        wave: Length of the meander along z, mm.
        phase: Of the meander along x and y, radians.
    """

    x: float
    y: float
    radius: float
    swing: tuple[float, float] = (0.0, 0.0)
    wave: float = 300.0
    phase: tuple[float, float] = (0.0, 0.0)

    def bounds(self) -> Bounds:
        """Box open at the top and at the bottom."""
        rx, ry = self.radius + abs(self.swing[0]), self.radius + abs(self.swing[1])
        return (self.x - rx, self.y - ry, -math.inf), (self.x + rx, self.y + ry, math.inf)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Horizontal distance to the centre line less the radius."""
        turn = z * (2.0 * math.pi / self.wave)
        dx = x - self.x - self.swing[0] * np.sin(turn + self.phase[0])
        dy = y - self.y - self.swing[1] * np.sin(turn + self.phase[1])
        return np.asarray(np.sqrt(dx * dx + dy * dy) - self.radius)


@dataclass(frozen=True, slots=True)
class Trunk:
    """An endless upright cylinder over a super-ellipse: the outline of a body."""

    half_width: float
    half_depth: float
    exponent: float = 2.4

    def bounds(self) -> Bounds:
        """Box open at the top and at the bottom."""
        return (
            (-self.half_width, -self.half_depth, -math.inf),
            (self.half_width, self.half_depth, math.inf),
        )

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance along the gradient of the super-ellipse, guarded on the axis."""
        n = self.exponent
        u, v = np.abs(x) / self.half_width, np.abs(y) / self.half_depth
        steep_u, steep_v = u ** (n - 1.0), v ** (n - 1.0)
        radial = (u * steep_u + v * steep_v) ** (1.0 / n)
        steep_u, steep_v = steep_u / self.half_width, steep_v / self.half_depth
        gradient = np.sqrt(steep_u * steep_u + steep_v * steep_v)
        # the gradient of the radial function is gradient / radial^(n - 1)
        safe = np.maximum(radial, 1e-3)
        gradient = np.maximum(gradient / safe ** (n - 1.0), 0.5 / self.half_width)
        return np.asarray((radial - 1.0) / gradient)


def _box(low: Array, high: Array) -> Bounds:
    """Two arrays of three as a pair of points."""
    return (
        (float(low[0]), float(low[1]), float(low[2])),
        (float(high[0]), float(high[1]), float(high[2])),
    )


def _scaled(once: Array, twice: Array, depth: float) -> Array:
    """`once (once - 1) / twice`; at the centre, where that is 0 / 0, minus `depth`."""
    distance = np.full_like(once, -depth)
    np.divide(once * (once - 1.0), twice, out=distance, where=twice > 1e-9)
    return distance
