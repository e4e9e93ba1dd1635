"""Liver, spleen and kidneys, and what hangs on them: gall bladder, kidney cysts, fat capsules."""

from dataclasses import dataclass

from pipeline.phantom.draw import Draw
from pipeline.phantom.patient import LABELS, Paint
from pipeline.phantom.shapes import Ellipsoid, Shape
from pipeline.phantom.solids import Common, Grown, Melted, Outside
from pipeline.phantom.torso import Torso


@dataclass(frozen=True, slots=True)
class Kidney:
    """A kidney with the fat around it.

    Args:
        shape: Without the hilum.
        hilum: Where vessels enter, on the side of the spine.
        side: +1 right, -1 left.
    """

    shape: Ellipsoid
    hilum: Ellipsoid
    side: int

    def bed(self) -> Ellipsoid:
        """What no other organ enters: the kidney, its fat and the space up to the back."""
        (x, y, z), (rx, ry, rz) = self.shape.centre, self.shape.radii
        centre = (x + 9.0 * self.side, y - 14.0, z)
        return Ellipsoid(centre, (rx + 14.0, ry + 18.0, rz + 6.0), self.shape.axes)


def draw_liver(draw: Draw, torso: Torso, kidney: Kidney) -> Shape:
    """Two lobes melted together, cut by wall and diaphragm, pressed in by the kidney."""
    right = draw.ellipsoid(
        (torso.half_width - draw.between(52, 62), draw.between(0, 12), draw.between(8, 26)),
        (56, 64), (56, 66), (56, 66), tilt=8,
    )  # fmt: skip
    left = draw.ellipsoid(
        (draw.between(-10, 14), draw.between(30, 42), draw.between(22, 38)),
        (46, 58), (26, 33), (28, 36), tilt=12,
    )  # fmt: skip
    return Common(Melted(right, left, 14.0), (*torso.inside(gap=2.0), Outside(kidney.bed())))


def draw_spleen(draw: Draw, torso: Torso, kidney: Kidney) -> Shape:
    """An ellipsoid under the left half of the diaphragm, pressed in by the kidney."""
    centre = (
        draw.between(28, 36) - torso.half_width,
        draw.between(-38, -16),
        draw.between(22, 48),
    )
    spleen = draw.ellipsoid(centre, (27, 34), (38, 48), (38, 50), tilt=14)
    return Common(spleen, (*torso.inside(gap=2.0), Outside(kidney.bed())))


def draw_gall_bladder(draw: Draw) -> Ellipsoid:
    """A pear-sized sac below the liver."""
    centre = draw.point((26, 44), (30, 46), (-34, -16))
    return draw.ellipsoid(centre, (10, 15), (12, 18), (16, 24), tilt=20)


def draw_kidneys(draw: Draw, torso: Torso) -> tuple[Kidney, Kidney]:
    """Left and right, the right one lower, at two heights of their own."""
    kidneys = []
    for side in (-1, 1):
        x, y, z = draw.point((50, 64), (18, 30), (-44, -12))
        centre = (side * x, torso.spine_y + y, z - 6 * (side > 0))
        shape = draw.ellipsoid(centre, (28, 33), (25, 30), (44, 54), tilt=9)
        inner = (side * (x - shape.radii[0] - 2), centre[1] + 6, centre[2])
        hilum = draw.ellipsoid(inner, (11, 15), (9, 13), (11, 16), tilt=10)
        kidneys.append(Kidney(shape, hilum, side))
    return kidneys[0], kidneys[1]


def kidney_paints(draw: Draw, kidneys: tuple[Kidney, Kidney]) -> list[Paint]:
    """Both kidneys in one attenuation: only their place tells them apart."""
    bright, fat = draw.between(150, 200), draw.between(-108, -88)
    paints = []
    for kidney in kidneys:
        label = LABELS["right kidney" if kidney.side > 0 else "left kidney"]
        rx, ry, rz = kidney.shape.radii
        inner = Ellipsoid(kidney.shape.centre, (rx / 2, ry / 2, rz / 2), kidney.shape.axes)
        open_side = Outside(kidney.hilum)
        paints += [
            Paint(Grown(kidney.shape, 4.0), fat),
            Paint(Common(kidney.shape, (open_side,)), bright, label, ripple=0.7, mottle=3.0),
            Paint(Common(inner, (open_side,)), bright - draw.between(15, 35), None),
        ]
        if draw.chance(1 / 3):
            x, y, z = kidney.shape.centre
            cyst = Ellipsoid((x + 14 * kidney.side, y, z + draw.between(-26, 26)), (9.0, 9.0, 9.0))
            paints.append(Paint(Common(cyst, (kidney.shape,)), draw.between(0, 16), None))
    return paints
