"""Several images at one place: copies are dropped, phases are told apart, the rest is refused."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pipeline.errors import DataError, GeometryError
from pipeline.io.dicom.geometry import Planes
from pipeline.io.dicom.slices import Slice, decimals
from pipeline.io.tolerances import POSITION_TOLERANCE_MM

ATTRIBUTES = (
    "StackID", "TemporalPositionIdentifier", "TemporalPositionIndex",
    "TemporalPositionTimeOffset", "AcquisitionNumber", "EchoTime", "EchoNumbers",
    "DiffusionBValue", "SiemensBValue", "ConvolutionKernel", "InversionTime", "FlipAngle",
    "NominalPercentageOfCardiacPhase", "TriggerTime", "KVP", "ImageType", "FrameType",
    "RescaleType", "SliceThickness", "SeriesNumber", "AcquisitionTime",
)  # fmt: skip
"""What may tell images of one place apart, the plainest first."""

_NEVER_WITHIN = (
    "StackID", "TemporalPositionIdentifier", "TemporalPositionIndex", "EchoTime",
    "DiffusionBValue", "SiemensBValue", "ConvolutionKernel",
)  # fmt: skip
_NAMED_AT_MOST = 10

Same = Callable[[Slice, Slice], bool]


def value(one: Slice, keyword: str) -> str:
    """Return an attribute so that equal values are equal text: 4.60 is 4.6."""
    text = one.attributes.get(keyword, "").strip()
    if not text:
        return ""
    numbers = decimals(text) if text else None
    if numbers is None:
        return one.text(keyword)
    return "\\".join(f"{number:.4g}" for number in numbers)


def pick_phase(slices: Sequence[Slice], phase: str) -> list[Slice]:
    """Return the slices with the values asked for, `ATTRIBUTE=VALUE[,ATTRIBUTE=VALUE...]`.

    Raises:
        DataError: No slice has one of them; the values that there are.
    """
    names = {name.lower(): name for name in ATTRIBUTES}
    chosen = list(slices)
    for wish in re.split(r",(?=[A-Za-z]+=)", phase):
        keyword, _, wanted = (part.strip() for part in wish.partition("="))
        keyword = names.get(keyword.lower(), keyword)
        numbers = decimals(wanted)
        text = "\\".join(f"{n:.4g}" for n in numbers) if numbers is not None else wanted
        left = [one for one in chosen if value(one, keyword) in (text, wanted)]
        if not left:
            raise DataError(
                f"{slices[0].header.entry.name}: no slice has {keyword}={wanted}; "
                f"{_counts(chosen, keyword)}",
                hint="choose one of these with --phase",
            )
        chosen = left
    return chosen


def _counts(slices: Sequence[Slice], keyword: str) -> str:
    counted = Counter(value(one, keyword) for one in slices)
    shown = [
        f"{said or 'none'} ({number} images)"
        for said, number in sorted(counted.items(), key=lambda item: _order(item[0]))
    ]
    more = f", and {len(shown) - _NAMED_AT_MOST} more" if len(shown) > _NAMED_AT_MOST else ""
    return f"{keyword} is {', '.join(shown[:_NAMED_AT_MOST])}{more}"


def _order(text: str) -> tuple[float, str]:
    numbers = decimals(text) if text else None
    return (numbers[0] if numbers else math.inf), text


def refuse_hidden(slices: Sequence[Slice]) -> None:
    """Refuse a series whose slices differ in what makes a phase, before any place is compared.

    Phases of which each has other places would interleave to an even, and wrong, grid.

    Raises:
        DataError: An echo time, kernel, stack, temporal position or b-value has two values.
    """
    for keyword in _NEVER_WITHIN:
        found = {value(one, keyword) for one in slices} - {""}
        if 1 < len(found) < len(slices):
            _refuse(slices, keyword)


def _refuse(slices: Sequence[Slice], keyword: str) -> None:
    raise DataError(
        f"{slices[0].header.entry.name}: several images of one series, {_counts(slices, keyword)}",
        hint=f"choose with --phase {keyword}=VALUE",
    )


def without_copies(found: Planes, same: Same) -> tuple[Planes, tuple[str, ...]]:
    """Return one image a place; copies of equal pixels are dropped.

    Args:
        found: Sorted planes.
        same: Whether two slices hold equal pixels; it may have to decode them.

    Raises:
        DataError: Different images at one place: phases, with what tells them apart, or none.
    """
    crowds = [group for group in _places(found) if len(group) > 1]
    if not crowds:
        return found, ()
    dropped: set[int] = set()
    for group in crowds:
        first = found.slices[group[0]]
        for index in group[1:]:
            if not same(first, found.slices[index]):
                _refuse_phases(found, crowds, first, found.slices[index])
            dropped.add(index)
    kept = [index for index in range(len(found.slices)) if index not in dropped]
    note = f"{len(dropped)} copies of slices left out (same place, same pixels)"
    return found.pick(kept), (note,)


def _places(found: Planes) -> Iterator[list[int]]:
    """Yield indices of slices that lie at one place of the normal and in the plane."""
    steps = np.diff(found.along)
    # in micro-CT the slices themselves lie a few micrometres apart
    close = min(POSITION_TOLERANCE_MM, 0.05 * float(steps.max())) if len(steps) else 0.0
    group = [0]
    for index in range(1, len(found.slices)):
        shift = np.linalg.norm(found.positions[index] - found.positions[index - 1])
        if steps[index - 1] <= close and shift <= max(close, POSITION_TOLERANCE_MM):
            group.append(index)
        else:
            yield group
            group = [index]
    yield group


def _refuse_phases(found: Planes, crowds: list[list[int]], one: Slice, other: Slice) -> None:
    """Refuse with the attribute that differs in every crowd and has the fewest values."""
    fewest = len(found.slices)
    best: dict[bool, tuple[int, str]] = {}
    for keyword in ATTRIBUTES:
        values = [value(member, keyword) for member in found.slices]
        told = [len({values[index] for index in group}) for group in crowds]
        fully = all(count == len(group) for count, group in zip(told, crowds, strict=True))
        if min(told) > 1 and len(set(values)) < best.get(fully, (fewest, ""))[0]:
            best[fully] = len(set(values)), keyword
    if best:
        _refuse(found.slices, best.get(True, best.get(False, (0, "")))[1])
    place = float(np.array(one.numbers("ImagePositionPatient", 3)) @ found.normal)
    raise GeometryError(
        f"{one.name} and {other.below} lie at one place, {place:.2f} mm along the normal, "
        f"and their pixels differ",
        hint="keep one image a place: one phase, no copies",
    )
