"""What a synthetic patient is: an ordered list of painted solids and the bend of the body."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.phantom.field import Field
from pipeline.phantom.shapes import Array, Point, Shape

LABELS: Final = {
    "liver": 1,
    "liver tumour": 2,
    "spleen": 3,
    "left kidney": 4,
    "right kidney": 5,
    "aorta": 6,
}
UNLABELLED: Final = 0
AIR_HU: Final = -1000.0


@dataclass(frozen=True, slots=True)
class Paint:
    """One solid with its colour; a later one covers the earlier ones.

    Args:
        shape: Where.
        hu: Attenuation.
        label: Value it leaves in the label map; None leaves what was there.
        ripple: How far the edge wavers, mm (standard deviation).
        mottle: How far the attenuation wavers, HU (standard deviation).
    """

    shape: Shape
    hu: float
    label: int | None = UNLABELLED
    ripple: float = 0.0
    mottle: float = 0.0


@dataclass(frozen=True, slots=True)
class Bend:
    """How the anatomy of a patient lies in the scanner: scale, offset, smooth displacement.

    Args:
        scale: Size along x, y, z against the drawn anatomy.
        offset: Where the anatomy's origin lies, mm.
        displacement: One field each for x, y, z.
        reach: Standard deviation of each displacement, mm.
    """

    scale: Point
    offset: Point
    displacement: tuple[Field, Field, Field]
    reach: Point

    def on(self, axes: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        """Displacements along x, y, z `(I, J, K)` in mm, on the grid of three scanner axes."""
        x, y, z = (
            field.on(axes) * reach
            for field, reach in zip(self.displacement, self.reach, strict=True)
        )
        return x, y, z

    def straight(self, axes: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        """The three axes in the anatomy's own mm, before displacement."""
        x, y, z = (
            (axis - off) / size
            for axis, off, size in zip(axes, self.offset, self.scale, strict=True)
        )
        return x, y, z


@dataclass(frozen=True, slots=True)
class Patient:
    """All that a rendering needs; nothing in it depends on a grid.

    Args:
        seed: What everything was drawn from.
        paints: In the order of painting, over air.
        bend: From scanner to anatomy.
        edge: Field behind every `ripple`.
        tissue: Field behind every `mottle`.
        noise_hu: Standard deviation of the scanner's noise.
        cupping_hu: How much brighter the rim of the field of view is than its middle.
    """

    seed: int
    paints: tuple[Paint, ...]
    bend: Bend
    edge: Field
    tissue: Field
    noise_hu: float
    cupping_hu: float


def grid_axes(shape: tuple[int, int, int], spacing: Point) -> tuple[Array, Array, Array]:
    """Coordinates in mm of the voxel centres along each axis, the volume's middle at zero."""
    x, y, z = (
        np.asarray((np.arange(count) - 0.5 * (count - 1)) * step, float)
        for count, step in zip(shape, spacing, strict=True)
    )
    return x, y, z
