"""Stomach, pancreas and bowel: the unlabelled crowd, some of it as bright as an organ."""

from pipeline.phantom.draw import Draw
from pipeline.phantom.patient import Paint
from pipeline.phantom.shapes import Capsule, Shape
from pipeline.phantom.solids import Common, Front, Grown
from pipeline.phantom.torso import Torso

GAS_HU = -900.0


def gut_paints(draw: Draw, torso: Torso) -> list[Paint]:
    """All of the gut, cut by the wall and the diaphragm."""
    inside = torso.inside(gap=2.0)
    paints = _stomach(draw, inside)
    head = (draw.between(22, 34), draw.between(-6, 6), draw.between(-22, -10))
    tail = (draw.between(-58, -42), draw.between(-14, 0), draw.between(2, 16))
    middle = (0.5 * (head[0] + tail[0]), draw.between(8, 16), 0.5 * (head[2] + tail[2]))
    wide, grey = draw.between(9, 12), draw.between(70, 100)
    paints += [
        Paint(Capsule(head, middle, wide), grey, ripple=0.8, mottle=4.0),
        Paint(Capsule(middle, tail, wide - 1), grey, ripple=0.8, mottle=4.0),
    ]
    for _ in range(draw.count(12, 17)):
        paints += _loop(draw, inside, torso.half_width)
    return paints


def _stomach(draw: Draw, inside: tuple[Shape, ...]) -> list[Paint]:
    """A wall and its content; gas in half of the patients, on top of the rest."""
    centre = draw.point((-52, -34), (18, 34), (16, 40))
    sac = draw.ellipsoid(centre, (26, 36), (24, 34), (30, 42), tilt=20)
    content = Common(Grown(sac, -3.5), inside)
    filling = draw.between(120, 280) if draw.chance(0.5) else draw.between(5, 50)
    paints = [Paint(Common(sac, inside), draw.between(50, 80)), Paint(content, filling)]
    if draw.chance(0.5):
        level = Front(centre[1] + draw.between(6, 14))
        paints.append(Paint(Common(content, (level,)), GAS_HU))
    return paints


def _loop(draw: Draw, inside: tuple[Shape, ...], half_width: float) -> list[Paint]:
    """A short piece of bowel with a thin wall: contrast, gas or fluid in it."""
    reach = 0.8 * half_width
    start = draw.point((-reach, reach), (-12, 52), (-118, -28))
    step = draw.point((-28, 28), (-14, 14), (-18, 18))
    end = (start[0] + step[0], start[1] + step[1], start[2] + step[2])
    radius = draw.between(9, 16)
    kind = draw.between(0, 1)
    if kind < 0.45:
        hu = draw.between(110, 330)
    elif kind < 0.60:
        hu = GAS_HU
    else:
        hu = draw.between(10, 60)
    wall = Paint(Common(Capsule(start, end, radius), inside), draw.between(30, 70))
    return [wall, Paint(Common(Capsule(start, end, radius - 2.5), inside), hu)]
