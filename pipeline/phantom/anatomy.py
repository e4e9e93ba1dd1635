"""One seed, one patient: draws every solid and puts them into the order of painting."""

from pipeline.phantom.draw import Draw
from pipeline.phantom.field import draw_field
from pipeline.phantom.gut import gut_paints
from pipeline.phantom.lesions import liver_paints
from pipeline.phantom.organs import (
    draw_gall_bladder,
    draw_kidneys,
    draw_liver,
    draw_spleen,
    kidney_paints,
)
from pipeline.phantom.patient import LABELS, Bend, Paint, Patient
from pipeline.phantom.torso import draw_torso, firm_paints, soft_paints
from pipeline.phantom.vessels import draw_trunks, mesenteric_paints, trunk_paints


def draw_patient(seed: int) -> Patient:
    """Draw a patient; the same seed gives the same one, whatever grid it is rendered on."""
    draw = Draw(seed)
    bend = _draw_bend(draw)
    edge, tissue = draw_field(draw.rng, 9, 44.0), draw_field(draw.rng, 11, 36.0)
    noise, cupping = draw.between(5, 8), draw.between(-6, 6)
    return Patient(seed, _draw_paints(draw), bend, edge, tissue, noise, cupping)


def _draw_bend(draw: Draw) -> Bend:
    """Size, place and bend in the scanner: what a mean of many patients cannot follow."""
    across, along = draw.between(0.94, 1.06), draw.between(0.90, 1.10)
    offset = draw.point((-11, 11), (-8, 8), (-21, 21))
    x, y, z = (draw_field(draw.rng, 7, 75.0) for _ in range(3))
    return Bend((across, across, along), offset, (x, y, z), (4.0, 4.0, 3.0))


def _draw_paints(draw: Draw) -> tuple[Paint, ...]:
    """Everything from the table to the aorta, later over earlier."""
    torso = draw_torso(draw)
    kidneys, gall_bladder = draw_kidneys(draw, torso), draw_gall_bladder(draw)
    liver = draw_liver(draw, torso, kidneys[1])
    spleen = draw_spleen(draw, torso, kidneys[0])
    aorta, cava = draw_trunks(draw, torso)
    liver_hu, blood = draw.between(95, 125), draw.between(140, 200)
    spleen_hu = liver_hu + draw.between(12, 28)
    obstacles = (cava, gall_bladder)
    return (
        *soft_paints(draw, torso),
        *firm_paints(draw, torso),
        *gut_paints(draw, torso),
        *mesenteric_paints(draw, blood),
        Paint(spleen, spleen_hu, LABELS["spleen"], ripple=1.0, mottle=3.0),
        *liver_paints(draw, liver, liver_hu, obstacles),
        Paint(gall_bladder, draw.between(2, 18)),
        *kidney_paints(draw, kidneys),
        *trunk_paints(draw, aorta, cava, kidneys, blood),
    )
