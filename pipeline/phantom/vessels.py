"""Aorta and vena cava, and the smaller vessels that look just like them."""

from pipeline.phantom.draw import Draw
from pipeline.phantom.organs import Kidney
from pipeline.phantom.patient import LABELS, Paint
from pipeline.phantom.shapes import Capsule, Column
from pipeline.phantom.torso import Torso


def draw_trunks(draw: Draw, torso: Torso) -> tuple[Column, Column]:
    """Aorta and vena cava, in front of the spine, left and right of the middle."""
    front = torso.spine_y + torso.spine_radius
    columns = []
    for x, radius in ((draw.between(-17, -8), (13.5, 17.0)), (draw.between(15, 22), (9.0, 12.0))):
        wide = draw.between(*radius)
        swing = (draw.between(2, 5), draw.between(1, 3))
        phase = (draw.between(0, 6.3), draw.between(0, 6.3))
        y = front + 0.85 * wide + draw.between(0, 3)
        columns.append(Column(x, y, wide, swing, draw.between(180, 320), phase))
    return columns[0], columns[1]


def mesenteric_paints(draw: Draw, hu: float) -> list[Paint]:
    """Five contrast-filled vessels in the fat in front of the great ones."""
    paints = []
    for _ in range(5):
        start = draw.point((-30, 30), (0, 20), (-30, 0))
        end = draw.point((-60, 60), (15, 55), (-100, -40))
        paints.append(
            Paint(Capsule(start, end, draw.between(3.5, 6.0)), hu + draw.between(-15, 15))
        )
    return paints


def trunk_paints(
    draw: Draw, aorta: Column, cava: Column, kidneys: tuple[Kidney, Kidney], hu: float
) -> list[Paint]:
    """Renal veins, vena cava, aorta."""
    vein = hu - draw.between(20, 60)
    paints = []
    for kidney in kidneys:
        x, y, z = kidney.hilum.centre
        # the left one crosses in front of the aorta
        bow = (aorta.x, aorta.y + aorta.radius + 7, z + 4) if kidney.side < 0 else (x, y, z)
        end = (cava.x, cava.y, z + 6)
        radius = draw.between(4.0, 5.5)
        paints += [
            Paint(Capsule((x, y, z), bow, radius), vein),
            Paint(Capsule(bow, end, radius), vein),
        ]
    return [
        *paints,
        Paint(cava, vein, mottle=3.0),
        Paint(aorta, hu, LABELS["aorta"], ripple=0.4, mottle=3.0),
    ]
