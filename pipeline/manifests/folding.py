"""Writes folds into a manifest: by patient, stratified by the labels that occur."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.errors import DataError, InvalidValueError
from pipeline.manifests.catalog import load_manifest
from pipeline.manifests.dealing import deal_folds
from pipeline.manifests.draft_entries import refuse_existing, write_manifest
from pipeline.manifests.label import load_label
from pipeline.manifests.manifest import Case, Manifest
from pipeline.manifests.place import manifests_dir
from pipeline.manifests.schema import read_json
from pipeline.progress import progress

LISTS: Final = ("training", "validation")


@dataclass(frozen=True, slots=True)
class Dealt:
    """Folds as they were written.

    Args:
        path: The manifest.
        sizes: Number of cases that each fold holds out.
        counts: For each foreground name, in how many of the held-out cases of each fold it is.
    """

    path: Path
    sizes: tuple[int, ...]
    counts: dict[str, tuple[int, ...]]


def add_folds(
    name_or_path: str | Path,
    folds: int,
    seed: int = 0,
    *,
    output: Path | None = None,
    force: bool = False,
    quiet: bool = True,
) -> Dealt:
    """Write folds into a manifest; `test` cases and cases without label stay out.

    Args:
        name_or_path: The manifest; one that comes with the program needs an `output`.
        folds: Their number.
        seed: Orders equal patients.
        output: Where the manifest with folds goes; None: into the same file.
        force: Replace folds, or a file, that are there.
        quiet: No progress bar.

    Raises:
        DataError: The manifest is not right, or a label cannot be read.
        InvalidValueError: It has folds and `force` is not given, or has fewer patients than folds,
            or may not be written where it was asked for.
    """
    manifest = load_manifest(name_or_path)
    target = _target(manifest, output, force=force)
    cases = [case for case in manifest.cases if case.label and case.part != "test"]
    deal_folds(cases, folds, seed)  # refused before a label is read
    present = _present(manifest, cases, quiet=quiet)
    held_out = deal_folds(cases, folds, seed, present)
    entries: list[dict[str, list[str]]] = [{"val": ids} for ids in held_out]
    if any(case.part == "val" for case in cases):  # all but the held-out ones train
        for entry in entries:
            entry["train"] = [case.id for case in cases if case.id not in entry["val"]]
    raw = read_json(manifest.path)
    for key in LISTS:  # a case's own number of a fold would say otherwise
        for case in raw.get(key, ()):
            if isinstance(case, dict):
                case.pop("fold", None)
    if target != manifest.path:
        raw.pop("$schema", None)
        raw["name"] = manifest.name
    write_manifest({**raw, "folds": entries}, target, force=True)
    counts = {
        name: tuple(sum(name in present[case_id] for case_id in ids) for ids in held_out)
        for name in manifest.foreground
    }
    return Dealt(target, tuple(len(ids) for ids in held_out), counts)


def _target(manifest: Manifest, output: Path | None, *, force: bool) -> Path:
    """Where the manifest with folds goes, if it may."""
    packaged = manifest.path.resolve().parent == manifests_dir().resolve()
    if output is None:
        if packaged:
            raise InvalidValueError(
                f"{manifest.name} comes with the program and is not changed",
                hint=f"write a copy: unetworks data split {manifest.name} -o {manifest.name}.json",
            )
        if manifest.folds and not force:
            raise InvalidValueError(
                f"{manifest.path} has {len(manifest.folds)} folds", hint="replace them with --force"
            )
        return manifest.path
    refuse_existing(output, force=force)
    if not packaged and output.absolute().parent.resolve() != manifest.path.resolve().parent:
        raise InvalidValueError(
            f"{output} is not beside {manifest.path}, whose paths are relative to its folder",
            hint=f"write it into {manifest.path.parent}",
        )
    return output


def _present(manifest: Manifest, cases: Sequence[Case], *, quiet: bool) -> dict[str, set[str]]:
    """Foreground names that occur in each case."""
    found: dict[str, set[str]] = {}
    for case in progress(cases, "reading labels", quiet=quiet):
        assert case.label is not None
        try:
            volume = load_label(case.label, channels=True)
        except DataError as error:
            raise DataError(f'case "{case.id}": {error}', hint=error.hint) from None
        found[case.id] = set(_names(volume.array, volume.spatial_dims, manifest))
    return found


def _names(array: np.ndarray[Any, Any], spatial_dims: int, manifest: Manifest) -> list[str]:
    """Foreground names in one label; of a file of regions, one a channel."""
    if array.ndim > spatial_dims:
        channels = zip(manifest.foreground, np.moveaxis(array, -1, 0), strict=False)
        return [name for name, channel in channels if channel.any()]
    integers = set(np.unique(array).tolist())
    pairs = zip(manifest.foreground, manifest.values, strict=True)
    return [name for name, group in pairs if integers & set(group)]
