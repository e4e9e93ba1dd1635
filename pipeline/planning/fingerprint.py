"""What a data set is like, from its training cases alone; cached until a file changes."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.io import atomic_path, file_stamps
from pipeline.manifests import Case, Manifest
from pipeline.planning.facts import Fingerprint, Intensity, Polarity, frozen
from pipeline.planning.measurement import CaseFacts, measure_case
from pipeline.progress import progress
from pipeline.settings import cache_dir

FORMAT = 4  # raise when a field or the way it is measured changes


def fingerprint(manifest: Manifest, fold: int | None = None, *, quiet: bool = False) -> Fingerprint:
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
    bar = progress(cases, "reading the training cases", quiet=quiet)
    facts = [measure_case(case, manifest, len(cases)) for case in bar]
    facts, mixed = _same_channels(facts, cases)
    found = replace(_pooled(facts, manifest, cases), validation_cases=validation, mixed=mixed)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"stamp": stamp, "fingerprint": found.to_dict()}))
    return found


def _stamp(cases: Iterable[Case]) -> list[list[object]]:
    """Name, size and time of each file, so that changed data are read anew."""
    stamp: list[list[object]] = []
    for case in cases:
        for path in case.files:
            found = [[size, time] for _, size, time in file_stamps(path)]
            stamp.append([case.id, path.name, *(found[0] if found else ())])
            stamp += [list(line) for line in found[1:]]
    return stamp


def _same_channels(
    facts: Sequence[CaseFacts], cases: Sequence[Case]
) -> tuple[list[CaseFacts], bool]:
    """Facts of as many channels: grey pictures count three times where others are coloured.

    Raises:
        DataError: Volumes and pictures in one set, or other numbers of channels.
    """
    numbers = {len(fact.samples) for fact in facts}
    mixed = numbers == {1, 3} and all(fact.spacing is None for fact in facts)
    if mixed:
        facts = [_tripled(fact) if len(fact.samples) == 1 else fact for fact in facts]
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
    return list(facts), mixed


def _tripled(fact: CaseFacts) -> CaseFacts:
    """A grey picture's facts as those of a coloured one."""
    return replace(
        fact,
        samples=np.repeat(fact.samples, 3, axis=0),
        lowest=np.repeat(fact.lowest, 3),
        zeros=np.repeat(fact.zeros, 3),
    )


def _pooled(facts: Sequence[CaseFacts], manifest: Manifest, cases: Sequence[Case]) -> Fingerprint:
    """Pool the cases' facts."""
    within = np.mean([f.samples.std(axis=1) for f in facts], axis=0) + 1e-9
    between = np.std([f.samples.mean(axis=1) for f in facts], axis=0)
    totals = np.sum([f.counts for f in facts], axis=0)
    voxels = sum(math.prod(f.shape) for f in facts)  # not the counts' sum: regions overlap
    spacings = np.array([f.spacing for f in facts if f.spacing is not None])
    channels = len(facts[0].samples)
    declared = manifest.modality if isinstance(manifest.modality, tuple) else (manifest.modality,)
    return Fingerprint(
        name=manifest.name,
        hash=manifest.hash,
        modality=declared if len(declared) == channels else declared[:1] * channels,
        dims=len(facts[0].shape),
        classes=manifest.foreground,
        values=manifest.values,
        integers=manifest.integers,
        head=manifest.head,
        cases=len(facts),
        patients=len({c.patient for c in cases}),
        validation_cases=0,
        shape=tuple(int(n) for n in np.median([f.shape for f in facts], axis=0).round()),
        spacing=_rounded(np.median(spacings, axis=0)) if len(spacings) else None,
        spacing_range=(_rounded(spacings.min(axis=0)), _rounded(spacings.max(axis=0)))
        if len(spacings)
        else None,
        intensity=_intensities(facts),
        variety=float(f"{(between / within).max():.3g}"),
        shares=tuple(float(f"{x:.6g}") for x in totals / voxels),
        window=frozen(manifest.window),
        polarity=_polarity(facts),
    )


def _intensities(facts: Sequence[CaseFacts]) -> tuple[Intensity, ...]:
    """Values per channel, to six significant digits."""
    pooled = np.concatenate([f.samples for f in facts], axis=1)
    low, high = np.percentile(pooled, (0.5, 99.5), axis=1)
    lowest = np.min([f.lowest for f in facts], axis=0)
    zeros = np.median([f.zeros for f in facts], axis=0).round(3)
    columns = (pooled.mean(axis=1), pooled.std(axis=1), low, high, lowest, zeros)
    return tuple(Intensity(*_rounded(row)) for row in np.stack(columns, axis=1))


def _polarity(facts: Sequence[CaseFacts]) -> Polarity | None:
    """How often the foreground is dark, and how often the image alone tells."""
    known = [f for f in facts if f.darker is not None]
    if not known:
        return None
    darker = np.mean([bool(f.darker) for f in known])
    told = np.mean([f.darker == f.light_ground for f in known])
    return Polarity(*_rounded(np.array([darker, told])))


def _rounded(values: NDArray[Any]) -> tuple[float, ...]:
    """Six significant digits: more is noise of the headers."""
    return tuple(float(f"{v:.6g}") for v in values)
