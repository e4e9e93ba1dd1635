"""Solids made of other solids: cut, joined, shrunk, hollowed; and the open ones they are cut by."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.shapes import EVERYWHERE, Array, Bounds, Shape


@dataclass(frozen=True, slots=True)
class Common:
    """What lies in `shape` and in each of the `cuts`."""

    shape: Shape
    cuts: tuple[Shape, ...]

    def bounds(self) -> Bounds:
        """Box of the first solid: cuts only take away."""
        return self.shape.bounds()

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Largest of the distances."""
        distance = self.shape.distance(x, y, z)
        for cut in self.cuts:
            distance = np.maximum(distance, cut.distance(x, y, z))
        return distance


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything but `shape`, kept `gap` mm away from it."""

    shape: Shape
    gap: float = 0.0

    def bounds(self) -> Bounds:
        """Open on all sides."""
        return EVERYWHERE

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """The distance with its sign turned."""
        return self.gap - self.shape.distance(x, y, z)


@dataclass(frozen=True, slots=True)
class Melted:
    """Two solids joined with a fillet of about `width` mm."""

    one: Shape
    other: Shape
    width: float

    def bounds(self) -> Bounds:
        """Box of both and of the fillet."""
        (low_a, high_a), (low_b, high_b) = self.one.bounds(), self.other.bounds()
        low = np.minimum(low_a, low_b) - self.width
        high = np.maximum(high_a, high_b) + self.width
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Polynomial smooth minimum of the two distances."""
        a, b = self.one.distance(x, y, z), self.other.distance(x, y, z)
        near = np.maximum(self.width - np.abs(a - b), 0.0)
        return np.minimum(a, b) - near * near / (4.0 * self.width)


@dataclass(frozen=True, slots=True)
class Grown:
    """`shape` with its surface moved outwards by `by` mm; inwards where negative."""

    shape: Shape
    by: float

    def bounds(self) -> Bounds:
        """The box, moved likewise."""
        low, high = self.shape.bounds()
        out = max(self.by, 0.0)
        return (
            (low[0] - out, low[1] - out, low[2] - out),
            (high[0] + out, high[1] + out, high[2] + out),
        )

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """The distance less `by`."""
        return self.shape.distance(x, y, z) - self.by


@dataclass(frozen=True, slots=True)
class Shell:
    """A wall of `thickness` mm whose middle lies `depth` mm below the surface of `shape`."""

    shape: Shape
    depth: float
    thickness: float

    def bounds(self) -> Bounds:
        """Box of the solid; a depth below half the thickness is not meant."""
        return self.shape.bounds()

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance to the middle of the wall less half its thickness."""
        return np.abs(self.shape.distance(x, y, z) + self.depth) - 0.5 * self.thickness


@dataclass(frozen=True, slots=True)
class Bands:
    """Endless layers of `thickness` mm, one every `period` mm, that sink by `slope` towards +y."""

    period: float
    thickness: float
    start: float
    slope: float = 0.0

    def bounds(self) -> Bounds:
        """Open on all sides."""
        return EVERYWHERE

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance to the nearest layer."""
        height = (z + self.slope * y - self.start) / self.period
        off = np.abs(height - np.round(height)) * self.period - 0.5 * self.thickness
        return np.asarray(off / np.hypot(1.0, self.slope))


@dataclass(frozen=True, slots=True)
class Dome:
    """All below the diaphragm: a paraboloid with its top at z = `top`.

    Args:
        top: Height of the middle, mm.
        drop: How much lower it stands at the wall, mm.
        half_width: Where along x that is, mm.
        half_depth: The same along y.
    """

    top: float
    drop: float
    half_width: float
    half_depth: float

    def bounds(self) -> Bounds:
        """Open on all sides."""
        return EVERYWHERE

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Height over the surface, shortened for its slope."""
        u, v = x / self.half_width, y / self.half_depth
        fall = u * u + v * v
        steep = (2.0 * self.drop / min(self.half_width, self.half_depth)) ** 2
        return np.asarray((z - self.top + self.drop * fall) / np.sqrt(1.0 + steep * fall))


@dataclass(frozen=True, slots=True)
class Front:
    """All in front of the plane y = `y` (where gas gathers in a patient on the back)."""

    y: float

    def bounds(self) -> Bounds:
        """Open on all sides but one."""
        low, high = EVERYWHERE
        return (low[0], self.y, low[2]), high

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance to the plane."""
        return self.y - y
