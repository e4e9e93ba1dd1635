"""What may be mended in a finished mask, class by class: specks, stray parts, holes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.errors import DataError, InvalidValueError, UnknownNameError

Mask = NDArray[Any]
Steps = Mapping[str, "Mending"]

ALL: Final = "*"
"""In a config, stands for the classes that it does not name."""

COUNTED: Final = 2**20  # voxels at a time


@dataclass(frozen=True, slots=True)
class Mending:
    """What is done to one class, in this order.

    Attributes:
        minimum_mm3: Parts below this volume go; 0 keeps all.
        largest: Only the largest part stays; of equal ones the first.
        fill_holes: Background that the class encloses becomes the class; other classes stay.
    """

    minimum_mm3: float = 0.0
    largest: bool = False
    fill_holes: bool = False

    @classmethod
    def of(cls, name: str, raw: object) -> "Mending":
        """Read what a config says of a class.

        Raises:
            InvalidValueError: No object, an unknown key, or a value of the wrong kind.
        """
        known = {"minimum_mm3": (int, float), "largest": (bool,), "fill_holes": (bool,)}
        if not isinstance(raw, Mapping):
            raise InvalidValueError(
                f"postprocess of {name} is {raw!r}", hint='give an object as {"largest": true}'
            )
        for key, value in raw.items():
            if key not in known:
                raise InvalidValueError(
                    f"postprocess of {name} has {key!r}", hint=f"use {', '.join(known)}"
                )
            if type(value) not in known[key] or value < 0:
                raise InvalidValueError(
                    f"postprocess of {name}: {key} is {value!r}",
                    hint="give mm3 as a number from 0, the others as true or false",
                )
        return cls(**raw)


def read_steps(given: object, classes: Sequence[str]) -> dict[str, Mending]:
    """Return what is done to which class, by a JSON file or by its content; None: nothing.

    Args:
        given: A path, or its content:
            `{"liver": {"largest": true, "fill_holes": true, "minimum_mm3": 500}, "*": {}}`.
        classes: Those of the model.

    Raises:
        DataError: The file is missing or no JSON.
        UnknownNameError: A class that the model has not.
        InvalidValueError: An unknown key, or a value of the wrong kind.
    """
    if given is None:
        return {}
    raw = _content(given) if isinstance(given, Path) else given
    if not isinstance(raw, Mapping):
        raise InvalidValueError("postprocess is no object", hint='give {"CLASS": {...}}')
    for name in raw:
        if name != ALL and name not in classes:
            near = get_close_matches(str(name), classes, n=1) or [", ".join(classes)]
            raise UnknownNameError(f"postprocess: no class {name!r}", hint=f"try {near[0]}")
    found = {name: Mending.of(name, raw.get(name, raw.get(ALL, {}))) for name in classes}
    return {name: mending for name, mending in found.items() if mending != Mending()}


def _content(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no JSON can be read ({error})", hint="check the file") from error


def mend(
    mask: Mask, values: Mapping[str, Sequence[int]], steps: Steps, affine: Mask | None
) -> Mask:
    """Mend a mask in place, and return it.

    Args:
        mask: Integers on the source's grid, or regions in the last axis.
        values: Each class and its integers in the mask.
        steps: What is done; classes that it lacks stay as they are.
        affine: Of the source, index to RAS mm; None for a picture.

    Raises:
        InvalidValueError: A smallest volume for a picture, which has none.
    """
    if not steps:
        return mask
    volume = None if affine is None else abs(float(np.linalg.det(affine[:3, :3])))
    regions = mask.ndim > (2 if affine is None else 3)
    boxes = [] if regions else ndimage.find_objects(mask)
    for index, (name, group) in enumerate(values.items()):
        if name not in steps:
            continue
        least = _least(steps[name], name, volume)
        if regions:
            _mend_part(mask[..., index], 1, steps[name], least)
        elif group[0] <= len(boxes) and boxes[group[0] - 1] is not None:
            _mend_part(mask[boxes[group[0] - 1]], group[0], steps[name], least)
    return mask


def _least(mending: Mending, name: str, volume: float | None) -> float:
    """The smallest part that stays, in voxels."""
    if not mending.minimum_mm3:
        return 0.0
    if volume is None:
        raise InvalidValueError(
            f"postprocess of {name}: a picture has no mm3", hint="leave minimum_mm3 out"
        )
    return mending.minimum_mm3 / volume


def _mend_part(labels: Mask, value: int, mending: Mending, least: float) -> None:
    """Mend the voxels of `value` in a part of a mask."""
    own = labels == value
    kept = _kept(own, mending.largest, least)
    labels[own & ~kept] = 0
    if mending.fill_holes:
        labels[ndimage.binary_fill_holes(kept) & (labels == 0)] = value


def _kept(own: NDArray[np.bool_], largest: bool, least: float) -> NDArray[np.bool_]:
    """Voxels of the parts that stay; parts hang together over faces, edges and corners."""
    if not largest and least <= 1:
        return own
    parts, count = ndimage.label(own, np.ones((3,) * own.ndim))
    sizes, flat = np.zeros(count + 1, np.int64), parts.ravel()
    for low in range(0, len(flat), COUNTED):  # numpy counts a copy of 8 bytes a voxel
        sizes += np.bincount(flat[low : low + COUNTED], minlength=count + 1)
    stays = sizes >= least
    if largest and count:
        stays &= np.arange(count + 1) == 1 + np.argmax(sizes[1:])
    stays[0] = False
    chosen: NDArray[np.bool_] = stays[parts]
    return chosen
