"""What a data set is like: the facts, from its training cases alone, that a plan rests on."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, GeometryError
from pipeline.io import Volume, atomic_path, corner_distance, read_image, read_label, to_grid
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS
from pipeline.manifests import Case, Manifest, check_labels
from pipeline.progress import progress
from pipeline.settings import cache_dir

FORMAT = 3  # raise when a field or the way it is measured changes
SAMPLES_PER_CASE = 20_000


@dataclass(frozen=True, slots=True)
class Intensity:
    """Values of one channel over the foreground of all training cases, in the image's unit."""

    mean: float
    std: float
    low: float  # percentile 0.5
    high: float  # percentile 99.5


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Facts of a data set; JSON-able, so that a run's folder can carry them.

    Attributes:
        name: The manifest's name.
        hash: The manifest's hash.
        modality: One per channel.
        dims: 3 for volumes, 2 for pictures.
        classes: Foreground names in order.
        values: For each class its integers in the label files.
        head: `softmax` (exclusive classes) or `sigmoid` (regions that may overlap).
        cases: Number of training cases.
        patients: Number of training patients.
        validation_cases: Number of `val` cases.
        shape: Median shape in voxels, RAS order for volumes, rows and columns for pictures.
        spacing: Median spacing in mm in that order; None for pictures.
        spacing_range: Smallest and largest spacing per axis.
        intensity: Per channel.
        variety: Spread of the cases' foreground means, in units of the spread within a case.
        shares: Share of all voxels of background and of each class.
        window: The manifest's window, a name or `[level, width]`.
    """

    name: str
    hash: str
    modality: tuple[str, ...]
    dims: int
    classes: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    head: str
    cases: int
    patients: int
    validation_cases: int
    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    spacing_range: tuple[tuple[float, ...], tuple[float, ...]] | None
    intensity: tuple[Intensity, ...]
    variety: float
    shares: tuple[float, ...]
    window: str | tuple[float, ...] | None = None

    @property
    def channels(self) -> int:
        """C of the network's input."""
        return len(self.modality)

    @property
    def out_channels(self) -> int:
        """K of the logits: background and classes for softmax, the regions for sigmoid."""
        return len(self.classes) + (self.head == "softmax")

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Fingerprint":
        """Undo `to_dict`."""
        fields = {key: _frozen(value) for key, value in plain.items()}
        fields["intensity"] = tuple(Intensity(**entry) for entry in plain["intensity"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class _CaseFacts:
    """What one case adds to the fingerprint."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    samples: NDArray[np.float32]  # (C, n) foreground values
    counts: NDArray[np.int64]  # voxels of background and of each class


def fingerprint(manifest: Manifest, fold: int | None = None) -> Fingerprint:
    """Return the fingerprint of the training cases, from the cache where it was made before.

    Raises:
        DataError: A case that is missing, unreadable, of another number of channels, whose label
            has another grid, or integers that the manifest does not declare.
    """
    cases = manifest.part("train", fold)
    if not cases:
        raise DataError(
            f"{manifest.name} has no training case", hint='give cases the split "train"'
        )
    validation = len(manifest.part("val", fold))
    path = cache_dir() / "fingerprints" / f"{manifest.hash[:20]}-{fold}-{FORMAT}.json"
    stamp = _stamp(cases)
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored["stamp"] == stamp:
            return Fingerprint.from_dict(stored["fingerprint"])
    facts = [_case_facts(case, manifest) for case in progress(cases, "reading the training cases")]
    found = _merge(facts, manifest, cases)
    found = replace(found, validation_cases=validation)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"stamp": stamp, "fingerprint": found.to_dict()}))
    return found


def class_values(manifest: Manifest) -> tuple[tuple[int, ...], ...]:
    """For each foreground class its integers in the label files."""
    if manifest.regions is not None:
        return tuple(tuple(group) for group in manifest.regions.values())
    return tuple((value,) for value in manifest.labels.values())


def ras_axes(affine: NDArray[np.float64]) -> list[int]:
    """Return which array axis runs most along x, y and z; each axis is used once."""
    direction = np.abs(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    axes: list[int] = [-1, -1, -1]
    for flat in np.argsort(-direction, axis=None):
        world, axis = divmod(int(flat), 3)
        if axes[world] < 0 and axis not in axes:
            axes[world] = axis
    return axes


def _stamp(cases: Iterable[Case]) -> list[list[object]]:
    """Name, size and time of each file, so that changed data are read anew."""
    stamp: list[list[object]] = []
    for case in cases:
        images = case.image if isinstance(case.image, tuple) else (case.image,)
        for path in (*images, *([case.label] if case.label else [])):
            status = path.stat() if path.exists() else None
            stamp.append(
                [case.id, path.name, *((status.st_size, status.st_mtime_ns) if status else ())]
            )
    return stamp


def _case_facts(case: Case, manifest: Manifest) -> _CaseFacts:
    """Read one case and reduce it."""
    image, label = read_case(case)
    integers, voxels = np.unique(label, return_counts=True)
    check_labels(integers, manifest, case)
    channels = image.array.shape[-1] if image.array.ndim > label.ndim else 1
    flat = image.array.reshape(-1, channels).astype(np.float32, copy=False)
    inside = np.flatnonzero(label.reshape(-1))
    if inside.size == 0:
        inside = np.arange(label.size)
    step = max(1, inside.size // SAMPLES_PER_CASE)
    groups = class_values(manifest)
    counts = [int(voxels[np.isin(integers, group)].sum()) for group in groups]
    background = int(voxels[~np.isin(integers, sum(groups, ()))].sum())
    spacing, shape = None, label.shape
    if image.affine is not None:
        axes = ras_axes(image.affine)
        lengths = np.linalg.norm(image.affine[:3, :3], axis=0)
        spacing, shape = tuple(float(lengths[a]) for a in axes), tuple(label.shape[a] for a in axes)
    return _CaseFacts(shape, spacing, flat[inside[::step]].T, np.array([background, *counts]))


def read_case(case: Case) -> tuple[Volume, NDArray[Any]]:
    """Read image and label of a case and check that they lie on one grid.

    Returns:
        The image (several files become its last axis) and the label's integers, `(i, j, k)` or
        `(rows, columns)`.

    Raises:
        DataError: A file is missing or unreadable, or the image holds values that are no numbers.
        GeometryError: Channels or label lie on another grid.
    """
    volumes = [read_image(path, series=case.series) for path in case.images]
    image = _stacked(case, volumes) if len(volumes) > 1 else volumes[0]
    if image.array.dtype.kind == "f" and not np.isfinite(image.array).all():
        raise DataError(
            f"{case.id}: {np.sum(~np.isfinite(image.array))} voxels of the image are no number",
            hint="give them a value, e.g. that of air",
        )
    if case.label is None:
        raise DataError(f"{case.id} has no label", hint="add it to the manifest")
    return image, _label_of(case, case.label, volumes[0])


def _stacked(case: Case, volumes: Sequence[Volume]) -> Volume:
    """Several files as channels of one image, if they share a grid."""
    first = volumes[0]
    for path, other in zip(case.images[1:], volumes[1:], strict=True):
        apart = 0.0
        if first.affine is not None and other.affine is not None:
            apart = corner_distance(first.affine, other.affine, first.shape)
        if other.shape != first.shape or apart > GRID_TOLERANCE_VOXELS:
            raise GeometryError(
                f"{case.id}: {path.name} of {other.shape} voxels lies {apart:.2g} voxels from the "
                f"first channel of {first.shape}",
                hint="resample the channels of a case to one grid first",
            )
    return replace(first, array=np.stack([v.array for v in volumes], axis=-1))


def _label_of(case: Case, path: Path, image: Volume) -> NDArray[Any]:
    """The label's integers on the image's grid; other axis codes over the same box are turned."""
    label = read_label(path)
    if image.affine is not None:
        try:
            return to_grid(label, image.affine, image.shape).array
        except GeometryError as error:
            raise GeometryError(f"{case.id}: {path.name}: {error}", hint=error.hint) from None
    if label.shape != image.shape:
        raise GeometryError(
            f"{case.id}: {path.name} has the size {label.shape}, the image {image.shape}",
            hint="a label needs its image's size",
        )
    return label.array


def _merge(facts: Sequence[_CaseFacts], manifest: Manifest, cases: Sequence[Case]) -> Fingerprint:
    """Pool the cases' facts."""
    for case, fact in zip(cases, facts, strict=True):
        if len(fact.samples) != len(facts[0].samples):
            raise DataError(
                f"{case.id} has {len(fact.samples)} channels, {cases[0].id} has "
                f"{len(facts[0].samples)}",
                hint="all cases of a set need the same channels",
            )
        if len(fact.shape) != len(facts[0].shape):
            raise DataError(
                f"{case.id} is {len(fact.shape)}D, {cases[0].id} is {len(facts[0].shape)}D",
                hint="volumes and pictures need a manifest each",
            )
    pooled = np.concatenate([f.samples for f in facts], axis=1)
    low, high = np.percentile(pooled, (0.5, 99.5), axis=1)
    intensity = tuple(
        Intensity(
            *(float(f"{x:.6g}") for x in (pooled[c].mean(), pooled[c].std(), low[c], high[c]))
        )
        for c in range(len(pooled))
    )
    within = np.mean([f.samples.std(axis=1) for f in facts], axis=0) + 1e-9
    between = np.std([f.samples.mean(axis=1) for f in facts], axis=0)
    totals = np.sum([f.counts for f in facts], axis=0)
    voxels = sum(math.prod(f.shape) for f in facts)  # not the counts' sum: regions overlap
    spacings = np.array([f.spacing for f in facts if f.spacing is not None])
    dims = len(facts[0].shape)
    declared = manifest.modality if isinstance(manifest.modality, tuple) else (manifest.modality,)
    return Fingerprint(
        name=manifest.name,
        hash=manifest.hash,
        modality=declared if len(declared) == len(pooled) else declared[:1] * len(pooled),
        dims=dims,
        classes=manifest.foreground,
        values=class_values(manifest),
        head=manifest.head,
        cases=len(facts),
        patients=len({c.patient for c in cases}),
        validation_cases=0,
        shape=tuple(int(n) for n in np.median([f.shape for f in facts], axis=0).round()),
        spacing=_rounded(np.median(spacings, axis=0)) if len(spacings) else None,
        spacing_range=(_rounded(spacings.min(axis=0)), _rounded(spacings.max(axis=0)))
        if len(spacings)
        else None,
        intensity=intensity,
        variety=float(f"{(between / within).max():.3g}"),
        shares=tuple(float(f"{x:.6g}") for x in totals / voxels),
        window=_frozen(manifest.window),
    )


def _rounded(values: NDArray[Any]) -> tuple[float, ...]:
    """Six significant digits: more is noise of the headers."""
    return tuple(float(f"{v:.6g}") for v in values)


def _frozen(value: Any) -> Any:
    """Lists to tuples, all the way down."""
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value
