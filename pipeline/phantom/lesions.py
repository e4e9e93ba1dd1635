"""What grows in the liver: tumours, which are the task, and vessels and cysts, which are not."""

import numpy as np

from pipeline.phantom.draw import Draw
from pipeline.phantom.patient import LABELS, Paint
from pipeline.phantom.shapes import Capsule, Ellipsoid, Point, Shape
from pipeline.phantom.solids import Common, Grown

CANDIDATES = 600  # places tried for a lesion
DEPTH = 0.95  # of a lesion's radius: how deep its centre lies at least in the liver
GAP = 6.0  # mm between lesions, and to other organs


def liver_paints(draw: Draw, liver: Shape, hu: float, obstacles: tuple[Shape, ...]) -> list[Paint]:
    """The liver with vessels, one tumour, and cysts and up to two more tumours where they fit.

    Args:
        draw: Source of all that varies.
        liver: Its solid.
        hu: Its attenuation.
        obstacles: Organs painted later, which no tumour may touch.
    """
    count, cysts = draw.count(1, 3), draw.count(0, 2)
    radii = sorted((draw.between(20, 29) for _ in range(count)), reverse=True)
    radii += [draw.between(6, 9) for _ in range(cysts)]
    paints = [
        Paint(liver, hu, LABELS["liver"], ripple=1.2, mottle=3.0),
        *_vessels(draw, liver, hu),
    ]
    contrast, water = draw.between(62, 88), draw.between(0, 16)
    placed: list[Shape] = list(obstacles)
    for number, radius in enumerate(radii):
        centre = _place(draw, liver, tuple(placed), radius, needed=number == 0)
        if centre is None:
            continue
        if number < count:
            lesion = _tumour(draw, centre, radius)
            paints += _tumour_paints(lesion, liver, hu - contrast)
        else:
            lesion = Ellipsoid(centre, (radius, radius, radius))
            paints.append(Paint(Common(lesion, (liver,)), water, None))
        placed.append(Grown(lesion, GAP))
    return paints


def _tumour(draw: Draw, centre: Point, radius: float) -> Ellipsoid:
    """A tilted ellipsoid of about one radius."""
    low, high = 0.87 * radius, 1.13 * radius
    return draw.ellipsoid(centre, (low, high), (low, high), (low, high), tilt=30)


def _tumour_paints(tumour: Ellipsoid, liver: Shape, hu: float) -> list[Paint]:
    """A tumour in a thin bright rim that counts as liver."""
    return [
        Paint(Common(Grown(tumour, 2.5), (liver,)), hu + 28.0, None, ripple=1.2),
        Paint(Common(tumour, (liver,)), hu, LABELS["liver tumour"], ripple=1.2, mottle=3.0),
    ]


def _vessels(draw: Draw, liver: Shape, hu: float) -> list[Paint]:
    """Four bright branches from the porta outwards; their label stays liver."""
    low, high = liver.bounds()
    porta = (0.6 * low[0] + 0.4 * high[0], 0.5 * (low[1] + high[1]), 0.6 * low[2] + 0.4 * high[2])
    paints = []
    for _ in range(4):
        end = draw.point((low[0], high[0]), (low[1], high[1]), (low[2], high[2]))
        branch = Capsule(porta, end, draw.between(2.5, 4.5))
        paints.append(Paint(Common(branch, (Grown(liver, -4.0),)), hu + draw.between(20, 45), None))
    return paints


def _place(
    draw: Draw, liver: Shape, others: tuple[Shape, ...], radius: float, *, needed: bool
) -> Point | None:
    """A point deep in the liver and clear of the others; None where there is none.

    The first lesion is `needed`: it takes the best candidate, however tight.
    """
    low, high = liver.bounds()
    x, y, z = (draw.rng.uniform(a, b, CANDIDATES) for a, b in zip(low, high, strict=True))
    slack = -liver.distance(x, y, z) - DEPTH * radius
    for other in others:
        slack = np.minimum(slack, other.distance(x, y, z) - radius)
    fits = np.flatnonzero(slack >= 0.0)
    if not len(fits) and not needed:
        return None
    choice = int(fits[0]) if len(fits) else int(np.argmax(slack))
    return float(x[choice]), float(y[choice]), float(z[choice])
