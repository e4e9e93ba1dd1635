"""Cases unlike the rest of their set, measured against medians so that few cases move nothing."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.check.facts import CaseFacts, ImageFacts, orientation
from pipeline.check.findings import SET, Finding
from pipeline.check.single import by

FEWEST = 4
"""Cases below which nothing can be called unlike the rest."""

RARE_SHARE = 0.2
SPREADS = 5.0
"""Robust standard deviations from the median from which on a case stands out."""

SPACING_FACTOR = 1.5
SHAPE_FACTOR = 2.0
INTENSITY_FACTOR = 30.0
INSIDE_HU = 30.0
_MAD_TO_SD = 1.4826


def check_orientation(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Yield a warning for axes that few cases of the set have."""
    found = {c.id: orientation(c.image.affine) for c in cases if c.image is not None}
    codes = {case: code for case, code in found.items() if code is not None}
    yield from _rare(codes, "orientation", "see that its affine is right; it is turned on reading")


def check_types(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Yield a warning for the set where images are stored with several types."""
    count = Counter(c.image.dtype for c in cases if c.image is not None)
    if len(count) > 1:
        shown = ", ".join(f"{name} in {n}" for name, n in count.most_common())
        remedy = "see that all are in one unit; normalise each case by itself otherwise"
        yield Finding(SET, "warning", "several image types", shown, remedy)


def check_colours(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Yield a warning for the set where some pictures are grey and others coloured."""
    several = [c.image for c in cases if c.image is not None and c.image.channels > 1]
    grey = sum(image.grey for image in several)
    if 0 < grey < len(several):
        measured = f"equal channels in {grey} of {len(several)}"
        remedy = "see that kinds of picture are in all parts, and score them apart"
        yield Finding(SET, "warning", "grey and coloured", measured, remedy)


def check_spacing(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Yield a warning for a spacing far from the set's median, along x, y and z."""
    found = {c.id: _in_world(c.image)[1] for c in cases if c.image and c.image.affine}
    for case, factor, value, median in _far(found, SPACING_FACTOR):
        measured = f"{_list(value)} mm, median {_list(median)} (factor {factor:.2f})"
        remedy = "see that the header is right; it is resampled to the plan's spacing"
        yield Finding(case, "warning", "spacing unlike the rest", measured, remedy)


def check_shape(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Yield a warning for a shape far from the set's median."""
    found = {c.id: _in_world(c.image)[0] for c in cases if c.image is not None}
    for case, factor, value, median in _far(found, SHAPE_FACTOR):
        shape, usual = (by(tuple(round(n) for n in sizes)) for sizes in (value, median))
        measured = f"{shape}, median {usual} (factor {factor:.2f})"
        yield Finding(
            case, "warning", "shape unlike the rest", measured, "see that it is whole, and no other"
        )


def check_scale(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Yield a warning for a mean intensity many times larger or smaller than the set's median."""
    means = {c.id: max(c.image.mean) for c in cases if c.image is not None and c.image.mean}
    positive = {case: mean for case, mean in means.items() if mean > 0}
    if len(positive) < max(FEWEST, len(means) / 2):
        return
    median = float(np.median([*positive.values()]))
    for case, mean in positive.items():
        if not 1 / INTENSITY_FACTOR < mean / median < INTENSITY_FACTOR:
            measured = f"mean {mean:.4g}, median of the set {median:.4g}"
            remedy = "normalise each case by itself, or bring it to the unit of the others"
            yield Finding(case, "warning", "intensity in another unit", measured, remedy)


def check_insides(cases: Sequence[CaseFacts], labels: dict[str, int]) -> Iterator[Finding]:
    """Yield a warning for a label whose mean HU stands out; `cases` are of CT."""
    for name, value in labels.items():
        found = {
            c.id: c.label.insides[value] for c in cases if c.label and value in c.label.insides
        }
        if len(found) < FEWEST:
            continue
        values = np.array([*found.values()])
        median, spread = _centre(values)
        for case, mean in found.items():
            if abs(mean - median) > max(INSIDE_HU, SPREADS * spread):
                measured = f"{name} has {mean:.0f} HU on average, the median case {median:.0f}"
                remedy = "look whether it is drawn in the right place"
                yield Finding(case, "warning", "label on other tissue", measured, remedy)


def check_ends(cases: Sequence[CaseFacts], labels: dict[str, int]) -> Iterator[Finding]:
    """Yield a warning for a label cut by the first or last slice, where few cases have it so."""
    labelled = [c for c in cases if c.label is not None and c.label.affine is not None]
    for name, value in labels.items():
        cut = [c.id for c in labelled if c.label and value in c.label.ends]
        if len(labelled) >= FEWEST and len(cut) < RARE_SHARE * len(labelled):
            for case in cut:
                measured = f"{name} in the first or last slice, in {len(cut)} of {len(labelled)}"
                remedy = "see that the scan holds all of it"
                yield Finding(case, "warning", "label at the scan's end", measured, remedy)


def check_outliers(
    cases: Sequence[CaseFacts], labels: dict[str, int], *, ct: bool
) -> Iterator[Finding]:
    """Yield all findings on cases unlike the rest; intensities by scale, in CT by tissue."""
    yield from check_orientation(cases)
    yield from check_types(cases)
    yield from check_colours(cases)
    yield from check_spacing(cases)
    yield from check_shape(cases)
    yield from check_insides(cases, labels) if ct else check_scale(cases)
    yield from check_ends(cases, labels)


def _rare(found: dict[str, str], what: str, remedy: str) -> Iterator[Finding]:
    """Cases with a value that fewer than `RARE_SHARE` of the set have."""
    count = Counter(found.values())
    for case, value in found.items():
        if len(found) >= FEWEST and count[value] < RARE_SHARE * len(found):
            usual, n = count.most_common(1)[0]
            measured = f"{value}; {usual} in {n} of {len(found)}"
            yield Finding(case, "warning", f"{what} unlike the rest", measured, remedy)


def _far(
    found: dict[str, tuple[float, ...]], factor: float
) -> Iterator[tuple[str, float, tuple[float, ...], tuple[float, ...]]]:
    """Cases off the median by more than a factor and the set's own spread, with the factor."""
    dims = max((len(value) for value in found.values()), default=0)
    same = {case: value for case, value in found.items() if len(value) == dims}
    if len(same) < FEWEST:
        return
    logs = np.log([*same.values()])
    median, spread = np.array([_centre(column) for column in logs.T]).T
    allowed = np.maximum(np.log(factor), SPREADS * spread) + 1e-9
    usual = tuple(np.exp(median).tolist())
    for (case, value), row in zip(same.items(), logs, strict=True):
        off = np.abs(row - median)
        if (off > allowed).any():
            yield case, float(np.exp(off.max())), value, usual


def _centre(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Median, and the standard deviation as the median distance from it gives it."""
    median = float(np.median(values))
    return median, _MAD_TO_SD * float(np.median(np.abs(values - median)))


def _in_world(image: ImageFacts) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Shape and spacing along x, y, z; of a picture its shape and nothing."""
    if image.affine is None:
        return tuple(float(n) for n in image.shape), ()
    matrix = np.array(image.affine)[:3, :3]
    lengths = np.linalg.norm(matrix, axis=0)
    order = np.argsort(np.abs(matrix).argmax(axis=0), kind="stable")
    return (
        tuple(float(image.shape[n]) for n in order),
        tuple(float(lengths[n]) for n in order),
    )


def _list(values: tuple[float, ...]) -> str:
    """Lengths as text."""
    return " x ".join(f"{value:.4g}" for value in values)
