"""What a config's settings lead to: facts, plan, cases, folders. The configs call these."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from pipeline.bundles.device import least, memory_gib
from pipeline.bundles.guard import plain
from pipeline.bundles.record import read_record, record_beside
from pipeline.bundles.weights import find_weights
from pipeline.contract import Network
from pipeline.errors import DataError, InvalidValueError
from pipeline.manifests import Manifest, check_files, load_manifest, row_of_label
from pipeline.networks import build_network, preset_options
from pipeline.networks.facts import network_facts
from pipeline.planning import Fingerprint, Overrides, fingerprint, make_plan
from pipeline.settings import runs_dir


@lru_cache(maxsize=4)
def _manifest(name: str, dataset_dir: str | None) -> Manifest:
    """A manifest whose files are there; read once per process."""
    manifest = load_manifest(name, dataset_dir)
    check_files(manifest)
    return manifest


@plain
def facts(
    manifest: str,
    dataset_dir: str | None = None,
    fold: int | None = None,
    weights: str | None = None,
) -> dict[str, Any]:
    """Return the fingerprint: the weights' own where a record lies beside them, else the set's."""
    record = None if weights is None else record_beside(find_weights(weights))
    if record is not None:
        return dict(record["facts"])
    return fingerprint(_manifest(manifest, dataset_dir), fold).to_dict()


@plain
def plan(
    facts: Mapping[str, Any],
    network: str,
    preset: str = "compact",
    spatial_dims: int = 3,
    weights: str | None = None,
    device: str | None = None,
    options: Mapping[str, Any] | None = None,
    window: str | Sequence[Any] | None = None,
    spacing: Sequence[float] | None = None,
    normalisation: str | None = None,
    patch: Sequence[int] | None = None,
    batch_size: int | None = None,
    epoch_length: int | None = None,
    learning_rate: float | None = None,
    norm: str | None = None,
    class_weights: Sequence[float] | str | None = None,
    augment: Mapping[str, Any] | bool | None = None,
    val_interval: int | None = None,
    polarity: bool | None = None,
    contrast: str | None = None,
    slices: int | None = None,
    memory: float | None = None,
) -> dict[str, Any]:
    """Plan from the facts; with weights that have a record beside them: the plan they came from.

    `options` are the network's that the bundle fixes, whatever the preset. Every argument after it
    is a value of the user's, which overrides just that one; None leaves it to the rules of
    `pipeline.planning`. `memory` in GiB stands for what the device has.

    Returns:
        The plan as plain values, with `network`: the options of the network.
    """
    record = None if weights is None else record_beside(find_weights(weights))
    if record is not None:
        known = dict(record["plan"])
        return known if patch is None else {**known, "patch": _window(patch, known)}
    overrides = Overrides(
        window, spacing, normalisation, patch, batch_size, epoch_length, learning_rate, norm,
        class_weights, augment, val_interval, polarity, contrast, slices,
    )  # fmt: skip
    fixed = dict(options or {})
    chosen = {**preset_options(network, preset, spatial_dims), **fixed}
    asked = network_facts(network, spatial_dims, preset, **fixed)
    settable = replace(asked, options=tuple(o for o in asked.options if o not in fixed))
    if "img_size" in chosen:  # built for its patch, whichever that is
        settable = replace(settable, smallest=settable.divisor)
    made = make_plan(
        Fingerprint.from_dict(dict(facts)),
        preset=preset,
        spatial_dims=spatial_dims,
        memory_gib=least(memory_gib(device)) if memory is None else memory,
        network=settable,
        overrides=overrides,
    )
    if "norm" in settable.options:
        chosen["norm"] = None if made.norm == "none" else made.norm
    if "strides" in settable.options:
        chosen |= {"strides": made.strides, "kernels": made.kernels}
    if "img_size" in chosen:  # a position embedding ties the network to its patch
        chosen["img_size"] = made.patch
    return {**made.to_dict(), "network": _plain(chosen)}


def divisor_of(
    network: str, spatial_dims: int, options: Mapping[str, Any]
) -> int | tuple[int, ...]:
    """The divisor of a network, from an instance without memory."""
    try:
        with torch.device("meta"):
            return build_network(network, spatial_dims, 1, 2, **options).divisor
    except RuntimeError:  # MONAI's transformers compute with values while they are built
        return build_network(network, spatial_dims, 1, 2, **options).divisor


@plain
def datalist(
    manifest: str, part: str, dataset_dir: str | None = None, fold: int | None = None
) -> list[dict[str, Any]]:
    """Return the cases of a part as MONAI's data list: `image`, `label`, `case`, `series`."""
    rows = []
    for case in _manifest(manifest, dataset_dir).part(part, fold):  # type: ignore[arg-type]
        row: dict[str, Any] = {"case": case.id, "image": [str(p) for p in case.images]}
        if case.label is not None:
            row["label"] = row_of_label(case.label)
        if case.series is not None:
            row["series"] = case.series
        rows.append(row)
    return rows


@plain
def run_folder(bundle: str, resume: str | None = None) -> str:
    """The folder of this run: new below `runs/BUNDLE`, or the one to resume.

    Raises:
        DataError: Nothing to resume there.
    """
    if resume is not None:
        return str(resumed_folder(bundle, resume))
    parent = runs_dir() / bundle
    name = time.strftime("%Y-%m-%d-%H%M%S")
    taken = sum(1 for p in parent.glob(f"{name}*")) if parent.is_dir() else 0
    return str((parent / (f"{name}-{taken + 1}" if taken else name)).absolute())


def resumed_folder(bundle: str, resume: str) -> Path:
    """The run's folder that `resume` names; `last`: the newest of this bundle with a state."""
    if resume == "last":
        states = sorted(
            (runs_dir() / bundle).glob("*/state/last.pt"), key=lambda p: p.stat().st_mtime
        )
        if not states:
            raise DataError(
                f"no run of {bundle} to resume below {runs_dir()}", hint="name the run's folder"
            )
        return states[-1].parent.parent.absolute()
    folder = Path(resume)
    if not (folder / "state" / "last.pt").is_file():
        raise DataError(f"{resume} holds no state/last.pt", hint="name a run's folder, or last")
    return folder.absolute()


@plain
def claim_folder(folder: str, *, resume: bool) -> Path:
    """Make the run's folder; one that exists is never written over.

    Raises:
        DataError: It exists and holds something, or can't be made.
    """
    path = Path(folder)
    if path.is_dir() and any(path.iterdir()) and not resume:
        raise DataError(
            f"{folder} exists", hint=f"give --resume {folder} to go on, or another --output_dir"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder} can't be made: {error.strerror}", hint="check the path"
        ) from error
    if shutil.disk_usage(path).free < 2**26:
        raise DataError(f"less than 64 MiB are free at {folder}", hint="make room on the disk")
    return path


@plain
def trained(network: Network, weights: str) -> Network:
    """Load weights into a network strictly and put it into evaluation mode."""
    from pipeline.bundles.weights import load_into, read_weights

    path = find_weights(weights)
    record = record_beside(path)
    if record is not None:
        read_record(path.parent, check=True)
    load_into(network, read_weights(path), path)
    return network.eval()


def _window(patch: Sequence[int], known: Mapping[str, Any]) -> list[int]:
    """A prediction window other than the training patch."""
    if len(patch) != len(known["patch"]):
        raise InvalidValueError(
            f"patch is {list(patch)}", hint=f"give {len(known['patch'])} numbers"
        )
    return [int(n) for n in patch]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


__all__ = [
    "claim_folder",
    "datalist",
    "facts",
    "plan",
    "run_folder",
    "trained",
]
