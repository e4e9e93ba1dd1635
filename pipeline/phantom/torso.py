"""The body around the organs: outline, fat, wall, lungs, heart, bones, muscles, table."""

from dataclasses import dataclass

from pipeline.phantom.draw import Draw
from pipeline.phantom.patient import Paint
from pipeline.phantom.shapes import Column, Ellipsoid, Shape, Trunk
from pipeline.phantom.solids import Bands, Common, Dome, Front, Grown, Outside, Shell


@dataclass(frozen=True, slots=True)
class Torso:
    """Sizes in mm that the organs are placed by.

    Args:
        body: Outline.
        fat: Thickness of the layer below the skin.
        wall: Thickness of the muscle below that.
        dome: The diaphragm; the abdomen is inside.
        spine_y: Where the vertebrae's centres lie.
        spine_radius: Of the vertebrae.
    """

    body: Trunk
    fat: float
    wall: float
    dome: Dome
    spine_y: float
    spine_radius: float

    @property
    def half_width(self) -> float:
        """Of the cavity, along x."""
        return self.body.half_width - self.fat - self.wall

    @property
    def half_depth(self) -> float:
        """Of the cavity, along y."""
        return self.body.half_depth - self.fat - self.wall

    def inside(self, gap: float = 0.0) -> tuple[Shape, Shape]:
        """The two solids that hold abdominal organs, `gap` mm off wall and diaphragm."""
        return Grown(self.body, -self.fat - self.wall - gap), Grown(self.dome, -gap)


def draw_torso(draw: Draw) -> Torso:
    """Draw the sizes of a body."""
    body = Trunk(draw.between(118, 132), draw.between(88, 98))
    fat, wall = draw.between(6, 14), draw.between(9, 13)
    width, depth = body.half_width - fat - wall, body.half_depth - fat - wall
    dome = Dome(draw.between(60, 80), draw.between(24, 34), width, depth)
    return Torso(body, fat, wall, dome, 16 - depth + draw.between(-2, 2), draw.between(17, 20))


def soft_paints(draw: Draw, torso: Torso) -> list[Paint]:
    """Table, skin, fat, wall, inner fat, lungs, heart."""
    body, fat = torso.body, torso.fat
    table = Column(0.0, 296.0 - body.half_depth, 300.0)
    cavity, _ = torso.inside()
    chest = Outside(torso.dome)
    heart = draw.ellipsoid(
        (draw.between(-24, -8), draw.between(12, 26), torso.dome.top + draw.between(22, 34)),
        (44, 54), (36, 44), (30, 36), tilt=12,
    )  # fmt: skip
    return [
        Paint(Common(Shell(table, 3.0, 6.0), (Outside(Front(-0.3 * body.half_depth)),)), -120.0),
        Paint(body, draw.between(0, 30)),
        Paint(Grown(body, -2.0), draw.between(-112, -92), mottle=3.0),
        Paint(Grown(body, -fat), draw.between(48, 66), mottle=4.0),
        Paint(cavity, draw.between(-108, -88), mottle=4.0),
        Paint(Common(Grown(cavity, -2.0), (chest,)), draw.between(-880, -800), mottle=12.0),
        Paint(Common(heart, (chest, cavity)), draw.between(110, 150), mottle=4.0),
    ]


def firm_paints(draw: Draw, torso: Torso) -> list[Paint]:
    """Ribs, muscles of the back, vertebrae with discs and arches."""
    y, radius = torso.spine_y, torso.spine_radius
    muscle, bone = draw.between(50, 66), draw.between(170, 260)
    wall = Shell(torso.body, torso.fat + 0.5 * torso.wall, 7.0)
    ribs = Bands(draw.between(28, 34), 9.0, draw.between(0, 30), draw.between(0.35, 0.6))
    paints = [Paint(Common(wall, (ribs,)), draw.between(350, 600))]
    for side in (-1, 1):
        back = Column(side * draw.between(25, 30), y - radius - 4, draw.between(14, 17))
        centre = (side * draw.between(32, 38), y + draw.between(0, 6), draw.between(-95, -80))
        psoas = draw.ellipsoid(centre, (11, 15), (12, 16), (75, 95), tilt=5)
        paints += [Paint(back, muscle, mottle=4.0), Paint(psoas, muscle, mottle=4.0)]
    spine = Column(0.0, y, radius, (draw.between(1, 4), draw.between(0, 2)), 260.0, (0.3, 1.2))
    discs = Bands(draw.between(26, 31), 7.0, draw.between(0, 30))
    arch = Column(0.0, y - radius - 7, 13.0)
    spike = Ellipsoid((0.0, y - radius - 16, 0.0), (4.0, 12.0, 300.0))
    return [
        *paints,
        Paint(Common(spike, (Outside(discs),)), bone + 150),
        Paint(arch, bone + 150),
        Paint(Grown(arch, -5.0), draw.between(15, 35)),
        Paint(spine, bone, mottle=12.0),
        Paint(Common(spine, (discs,)), draw.between(70, 100)),
    ]
