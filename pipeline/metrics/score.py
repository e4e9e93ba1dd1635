"""Scores of one case: overlap, surfaces and volumes of each class."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, nan, prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from pipeline.errors import DataError, GeometryError, InvalidValueError
from pipeline.metrics.surface import Mask, hausdorff_95, surface_dice, surface_distances

State = Literal["present", "missed", "invented", "absent"]
Unit = Literal["mm", "px"]
Classes = Mapping[str, int | Sequence[int]] | Sequence[str]
Box = tuple[slice, ...]

TOLERANCE_MM = 2.0
WHITE = 255  # what a picture's only class is written as


@dataclass(frozen=True, slots=True)
class Score:
    """How one class of one case was found; NaN where a number has no meaning.

    Args:
        case: The case's id.
        name: The class.
        state: `present` in both masks, `missed` by the prediction, `invented` by it, or rightly
            `absent` from both: then no score counts.
        dice: 0 to 1; 0 if missed or invented; so are `iou` and `surface_dice`.
        iou: Intersection over union.
        hd95: Both directions' 95th percentile of surface distances, the larger, in `unit`; if
            missed or invented, the image's diagonal.
        surface_dice: Share of both surfaces within the tolerance.
        volume_label_ml: Volume in the label; NaN for a picture; so is the next.
        volume_prediction_ml: Volume in the prediction.
        unit: `mm`, or `px` for a picture, which has no spacing.
    """

    case: str
    name: str
    state: State
    dice: float
    iou: float
    hd95: float
    surface_dice: float
    volume_label_ml: float
    volume_prediction_ml: float
    unit: Unit = "mm"


def score_case(
    prediction: npt.NDArray[Any],
    label: npt.NDArray[Any],
    classes: Classes,
    spacing: Sequence[float] | None,
    tolerance: float = TOLERANCE_MM,
    *,
    case: str = "",
) -> list[Score]:
    """Score the masks of one case, `S` or `(*S, C)` each, class by class in declared order.

    A mask has the integers of its classes, or one channel a class where they overlap; the
    prediction may have channels where the label has integers. An axis of one voxel is no
    direction in which a surface could lie: a single slice is scored as a picture.

    Args:
        prediction: On the label's grid.
        label: What is true.
        classes: Names and the integer, or the integers, that make each; for channels the order
            is what counts, and names alone will do. The only class of a picture may be 255.
        spacing: Mm per voxel, one for each spatial axis; None: a picture, measured in pixels.
        tolerance: Of the surface Dice, in mm or pixels.
        case: Goes into the rows.

    Raises:
        GeometryError: The masks' sizes differ.
        DataError: The channels are not as many as the classes, or names without integers meet a
            mask without channels.
        InvalidValueError: A class is 0, which is background, or the tolerance is below 0.
    """
    if not tolerance >= 0:
        raise InvalidValueError(
            f"tolerance is {tolerance} mm", hint="give 0 or more, as --tolerance 2"
        )
    dims = 2 if spacing is None else len(spacing)
    shape = label.shape[:dims]
    if prediction.shape[:dims] != shape:
        raise GeometryError(
            f"case {case!r}: the prediction has {_times(prediction.shape[:dims])} voxels, "
            f"the label {_times(shape)}",
            hint="predict on the label's grid",
        )
    ruler = _Ruler(shape, spacing, tolerance)
    parts = (_masks(array, classes, dims, case) for array in (prediction, label))
    return [
        _score(case, name, ruler, predicted, labelled)
        for name, predicted, labelled in zip(classes, *parts, strict=True)
    ]


class _Ruler:
    """What an image's voxels measure."""

    def __init__(
        self, shape: Sequence[int], spacing: Sequence[float] | None, tolerance: float
    ) -> None:
        self.tolerance = tolerance
        self.unit: Unit = "px" if spacing is None else "mm"
        step = [1.0] * len(shape) if spacing is None else [float(mm) for mm in spacing]
        self.diagonal = hypot(*(n * mm for n, mm in zip(shape, step, strict=True)))
        self.voxel_ml = prod(step) / 1000 if self.unit == "mm" and len(step) == 3 else nan
        self.flat = tuple(axis for axis, n in enumerate(shape) if n == 1)
        self.step = [mm for mm, n in zip(step, shape, strict=True) if n > 1]

    def surfaces(self, prediction: Mask, label: Mask) -> tuple[float, float]:
        """HD95 and surface Dice of two masks that are not empty."""
        if not self.step:
            return 0.0, 1.0
        one, other = np.squeeze(prediction, self.flat), np.squeeze(label, self.flat)
        there, back = surface_distances(one, other, self.step)
        return hausdorff_95(there, back), surface_dice(there, back, self.tolerance)


class _Part:
    """Where one class lies in one array; its voxels are compared only inside a box."""

    def __init__(self, array: npt.NDArray[Any], values: tuple[int, ...], box: Box | None) -> None:
        self.array, self.values, self.box = array, values, box

    def crop(self, box: Box) -> Mask:
        """The class inside `box`."""
        if not self.values:
            return np.asarray(self.array[box] != 0)
        if len(self.values) == 1:
            return np.asarray(self.array[box] == self.values[0])
        return np.isin(self.array[box], self.values)


def _score(case: str, name: str, ruler: _Ruler, predicted: _Part, labelled: _Part) -> Score:
    """The row of one class, by the rules for what is missed, invented or rightly absent."""
    box = _joint([predicted.box, labelled.box])
    if box is None:
        empty = 0 * ruler.voxel_ml
        return Score(case, name, "absent", nan, nan, nan, nan, empty, empty, ruler.unit)
    one, other = predicted.crop(box), labelled.crop(box)
    found, true = np.count_nonzero(one), np.count_nonzero(other)
    both = np.count_nonzero(one & other)
    state: State = "present"
    hd95, near = ruler.diagonal, 0.0
    if found and true:
        hd95, near = ruler.surfaces(one, other)
    else:
        state = "missed" if true else "invented"
    dice, iou = 2 * both / (found + true), both / (found + true - both)
    volumes = float(true * ruler.voxel_ml), float(found * ruler.voxel_ml)
    return Score(case, name, state, float(dice), float(iou), hd95, near, *volumes, ruler.unit)


def _masks(array: npt.NDArray[Any], classes: Classes, dims: int, case: str) -> Iterator[_Part]:
    """Each class of a mask, in declared order."""
    if array.ndim > dims:
        if array.shape[dims] != len(classes):
            raise DataError(
                f"case {case!r}: a mask has {array.shape[dims]} channels "
                f"for the {len(classes)} classes {', '.join(classes)}",
                hint="name one class for each channel, in their order",
            )
        for n in range(len(classes)):
            channel = array[..., n]
            yield _Part(channel, (), _box_of(channel != 0))
        return
    if not isinstance(classes, Mapping):
        raise DataError(
            f"case {case!r}: a mask without channels, and no integers for {', '.join(classes)}",
            hint="say which integer is which, as --classes liver=1",
        )
    values = [_values(name, given) for name, given in classes.items()]
    if dims == 2 and len(values) == 1:
        values = [(*values[0], WHITE)]
    whole = array.view(np.uint8) if array.dtype == np.bool_ else array
    boxes = find_objects(whole, max((v for vs in values for v in vs), default=0))
    for of_class in values:
        yield _Part(whole, of_class, _joint([boxes[value - 1] for value in of_class]))


def _values(name: str, given: int | Sequence[int]) -> tuple[int, ...]:
    """The integers of a class, none of them background."""
    values = (given,) if isinstance(given, int) else tuple(given)
    if not values or min(values) < 1:
        raise InvalidValueError(
            f"class {name!r} is {given}", hint="0 is background; give integers from 1"
        )
    return values


def _box_of(mask: Mask) -> Box | None:
    """The smallest box around the true voxels."""
    found: list[Box | None] = find_objects(mask.view(np.uint8))
    return found[0] if found else None


def _joint(boxes: Sequence[Box | None]) -> Box | None:
    """The smallest box around several; None if there is none."""
    there = [box for box in boxes if box is not None]
    if not there:
        return None
    axes = zip(*there, strict=True)
    return tuple(slice(min(s.start for s in a), max(s.stop for s in a)) for a in axes)


def _times(shape: Sequence[int]) -> str:
    """A size as people write it."""
    return "x".join(map(str, shape))
