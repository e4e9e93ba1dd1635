"""Checks that need one case's facts and the manifest: files, grid, values of image and label."""

from collections.abc import Iterator

from pipeline.check.facts import CaseFacts, orientation
from pipeline.check.findings import Finding
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS
from pipeline.manifests import Manifest, is_white

ROUNDING_VOXELS = 1e-3
"""Closer grids count as equal: what float32 affines differ by."""

CT_AIR_BELOW_HU = -500.0
CT_HIGHEST_HU = 32_000.0
AIR_SHARE = 0.02
"""Share of voxels near -1000 from which on an image looks like CT."""

_SHOWN = 8


def check_readable(facts: CaseFacts) -> Iterator[Finding]:
    """Yield an error a file that cannot be read, and the readers' warnings."""
    for line in facts.problems:
        message, _, hint = line.rpartition("; ")
        yield Finding(
            facts.id, "error", "unreadable", message or line, hint if message else "mend the file"
        )
    for line in facts.notes:
        if "NaN" not in line:  # `check_finite` counts them
            yield Finding(facts.id, "warning", "unusual file", line, "see that this is meant")


def check_geometry(facts: CaseFacts) -> Iterator[Finding]:
    """Yield an error for a label on another grid than its image, a warning for a small shift."""
    image, label = facts.image, facts.label
    if image is None or label is None:
        return
    remedy = "resample the label on its image's grid with nearest neighbour"
    if not label.fits and sorted(label.shape) != sorted(image.shape):
        measured = f"label {by(label.shape)}, image {by(image.shape)} voxels"
        yield Finding(facts.id, "error", "label of another shape", measured, remedy)
    elif not label.fits:
        measured = (
            f"label {by(label.shape)}, image {by(image.shape)} voxels"
            if label.distance is None
            else f"{label.distance:.3g} voxels apart at a corner"
        )
        yield Finding(facts.id, "error", "label on another grid", measured, remedy)
    elif label.distance is not None and label.distance > ROUNDING_VOXELS:
        measured = f"{label.distance:.3g} of {GRID_TOLERANCE_VOXELS:g} voxels allowed"
        yield Finding(
            facts.id, "warning", "label slightly off", measured, "write the image's affine into it"
        )


def check_axes(facts: CaseFacts) -> Iterator[Finding]:
    """Yield a warning for a label that fits its image, with its axes the other way round."""
    image, label = facts.image, facts.label
    if image is None or label is None or not label.fits:
        return
    codes = orientation(label.affine), orientation(image.affine)
    if codes[0] != codes[1]:
        measured = f"label {codes[0]}, image {codes[1]}"
        remedy = "laid by index it is mirrored: store it with its image's axes"
        yield Finding(facts.id, "warning", "label with other axes", measured, remedy)


def check_values(facts: CaseFacts, manifest: Manifest) -> Iterator[Finding]:
    """Yield an error for integers that the manifest does not declare."""
    if facts.label is None:
        return
    stray = [value for value in facts.label.counts if value not in manifest.integers]
    if not stray or is_white_mask(facts, manifest):
        return
    shown = ", ".join(f"{value} ({facts.label.counts[value]} voxels)" for value in stray[:_SHOWN])
    more = f" and {len(stray) - _SHOWN} more" if len(stray) > _SHOWN else ""
    remedy = f"declare it in the manifest (now {', '.join(map(str, manifest.integers))}) or mend it"
    if stray == [255] and len(manifest.integers) == 2:
        remedy = f"declare 255 in the manifest instead of {manifest.integers[1]}"
    yield Finding(facts.id, "error", "undeclared label value", shown + more, remedy)


def is_white_mask(facts: CaseFacts, manifest: Manifest) -> bool:
    """Whether a label is a picture of 0 and 255 that stands for the set's only class."""
    label = facts.label
    return (
        label is not None and len(label.shape) == 2 and is_white([*label.counts], manifest.values)
    )


def check_label_type(facts: CaseFacts) -> Iterator[Finding]:
    """Yield a warning for a label stored with fractions, though all values are whole."""
    if facts.label is not None and facts.label.dtype.startswith("float"):
        yield Finding(
            facts.id, "warning", "label stored as float", facts.label.dtype, "store it as uint8"
        )


def check_finite(facts: CaseFacts) -> Iterator[Finding]:
    """Yield an error for NaN or infinite voxels: one makes a whole batch NaN."""
    if facts.image is not None and facts.image.not_finite:
        measured = f"{facts.image.not_finite} voxels"
        remedy = "give them a value, e.g. that of air"
        yield Finding(facts.id, "error", "NaN or infinite", measured, remedy)


def check_constant(facts: CaseFacts) -> Iterator[Finding]:
    """Yield an error for an image that is constant, a warning for one such channel of several."""
    if facts.image is None or not facts.image.low:
        return
    pairs = zip(facts.image.low, facts.image.high, strict=True)
    flat = [n for n, (low, high) in enumerate(pairs) if low == high]
    if len(flat) == len(facts.image.low):
        measured = f"all values are {facts.image.low[0]:g}"
        yield Finding(facts.id, "error", "constant image", measured, "export the image again")
    elif flat:
        measured = f"channel {', '.join(str(n + 1) for n in flat)} of {len(facts.image.low)}"
        yield Finding(facts.id, "warning", "constant channel", measured, "see that this is meant")


def check_empty(facts: CaseFacts) -> Iterator[Finding]:
    """Yield a warning for a label map of background alone."""
    if facts.label is not None and not any(facts.label.counts.keys() - {0}):
        measured = f"0 of {sum(facts.label.counts.values())} voxels labelled"
        yield Finding(facts.id, "warning", "empty label", measured, "see that nothing is there")


def check_modality(facts: CaseFacts, manifest: Manifest) -> Iterator[Finding]:
    """Yield a warning for values, or a header, that do not look like the declared modality."""
    image = facts.image
    if image is None:
        return
    declared = manifest.modality if isinstance(manifest.modality, str) else manifest.modality[0]
    remedy = "declare the modality that it is, or export the image again"
    if image.modality and image.modality.upper() in ("CT", "MR") and image.modality != declared:
        measured = f"the header says {image.modality}, the manifest {declared}"
        yield Finding(facts.id, "warning", "another modality", measured, remedy)
    elif not image.low:
        return
    elif declared == "CT" and image.low[0] > CT_AIR_BELOW_HU:
        measured = f"{image.low[0]:g} to {image.high[0]:g}, no air below {CT_AIR_BELOW_HU:g} HU"
        yield Finding(facts.id, "warning", "does not look like CT", measured, remedy)
    elif declared == "CT" and image.high[0] > CT_HIGHEST_HU:
        measured = f"{image.low[0]:g} to {image.high[0]:g} HU"
        yield Finding(facts.id, "warning", "does not look like CT", measured, remedy)
    elif declared != "CT" and image.hounsfield_air > AIR_SHARE:
        measured = f"{image.hounsfield_air:.0%} of voxels near -1000, as air in CT"
        yield Finding(facts.id, "warning", f"does not look like {declared}", measured, remedy)


def check_unit(facts: CaseFacts, manifest: Manifest) -> Iterator[Finding]:
    """Yield a warning for a CT whose header says that its values are not HU."""
    declared = [manifest.modality] if isinstance(manifest.modality, str) else manifest.modality
    if facts.image is not None and facts.image.hu is False and "CT" in declared:
        measured = "no rescale, or a RescaleType other than HU"
        remedy = "export it in HU, or train with --normalisation zscore: a window is refused"
        yield Finding(facts.id, "warning", "CT not in HU", measured, remedy)


def check_channels(facts: CaseFacts, manifest: Manifest) -> Iterator[Finding]:
    """Yield an error where a modality is declared for each channel and their number differs."""
    if facts.image is None or isinstance(manifest.modality, str):
        return
    if facts.image.channels != len(manifest.modality):
        measured = f"{facts.image.channels} channels, {len(manifest.modality)} modalities declared"
        yield Finding(facts.id, "error", "number of channels", measured, "mend the manifest")


def by(shape: tuple[int, ...]) -> str:
    """Return a shape as text."""
    return " x ".join(map(str, shape))


def check_case(facts: CaseFacts, manifest: Manifest) -> Iterator[Finding]:
    """Yield all findings on one case by itself."""
    yield from check_readable(facts)
    yield from check_geometry(facts)
    yield from check_axes(facts)
    yield from check_values(facts, manifest)
    yield from check_label_type(facts)
    yield from check_finite(facts)
    yield from check_constant(facts)
    yield from check_empty(facts)
    yield from check_modality(facts, manifest)
    yield from check_unit(facts, manifest)
    yield from check_channels(facts, manifest)
