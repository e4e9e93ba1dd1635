"""A run's folder as a standard MONAI bundle that needs neither manifest nor data."""

import json
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.bundles.record import FORMAT, INTENDED_USE, write_record
from pipeline.bundles.weights import State, save_weights
from pipeline.io import atomic_path

PLANNED = (
    "spacing", "normalisation", "patch", "batch_size", "epoch_length", "learning_rate", "norm",
    "val_interval",
)  # fmt: skip
SHARED = ("spatial_dims", "manifest", "dataset_dir", "fold", "preset")
KINDS = ("train", "evaluate", "inference")


def resolved_settings(config: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the planned values in place of null; expressions stay out."""
    settings = {
        k: v
        for k, v in config.items()
        if not isinstance(v, dict | list) and not str(v).startswith(("$", "@"))
    }
    settings.update({name: plan[name] for name in PLANNED})
    settings["window"] = None
    if plan["window"] is not None:
        settings["window"] = [[(low + high) / 2, high - low] for low, high in plan["window"]]
    settings["class_weights"] = plan["class_weights"] or "none"
    settings["augment"] = dict(plan["augment"])
    return settings


def write_configs(
    folder: Path,
    source: Path,
    config: Mapping[str, Any],
    facts: Mapping[str, Any],
    plan: Mapping[str, Any],
) -> None:
    """Write `configs/` of a run: everything that manifest and plan supplied is frozen in.

    Args:
        folder: The run's folder.
        source: Folder of the configs being run.
        config: The training config with its overrides, expressions as text.
        facts: The fingerprint.
        plan: The plan.
    """
    target = folder / "configs"
    target.mkdir(parents=True, exist_ok=True)
    settings = resolved_settings(config, plan)
    for kind in KINDS:
        frozen = (
            dict(config) if kind == "train" else json.loads((source / f"{kind}.json").read_text())
        )
        frozen["facts"] = dict(facts)
        if kind == "train":
            frozen.update(settings)
            frozen.update({"weights": None, "resume": None, "new_head": False})
            frozen["output_dir"] = f"$bundles.run_folder({config['bundle']!r}, @resume)"
        else:
            frozen.update({name: settings[name] for name in SHARED if name in settings})
            frozen["plan"] = dict(plan)
            frozen["network_def"] = {**frozen["network_def"], **set_options(config)}
            frozen["weights"] = "$@bundle_root + '/models/model.safetensors'"
        _write_json(target / f"{kind}.json", frozen)
    _write_json(target / "metadata.json", metadata(source, facts, plan))
    if (source / "logging.conf").is_file() and source != target:
        shutil.copyfile(source / "logging.conf", target / "logging.conf")


def metadata(source: Path, facts: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """The committed metadata with this model's channels, classes and sizes."""
    meta: dict[str, Any] = json.loads((source / "metadata.json").read_text())
    formats = meta["network_data_format"]
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    dims = plan["spatial_dims"]
    softmax = facts["head"] == "softmax"
    names = (["background"] if softmax else []) + list(facts["classes"])
    image.update(
        num_channels=len(facts["modality"]),
        modality="/".join(facts["modality"]),
        spatial_shape=image["spatial_shape"][:1] * dims,
        channel_def={str(i): m for i, m in enumerate(facts["modality"])},
    )
    pred.update(
        num_channels=len(names),
        spatial_shape=pred["spatial_shape"][:1] * dims,
        channel_def={str(i): name for i, name in enumerate(names)},
    )
    meta["data_source"] = facts["name"]
    meta["data_type"] = ", ".join(facts["modality"])
    meta["label_classes"] = meta["pred_classes"] = ", ".join(names)
    return meta


def write_model(
    folder: Path,
    state: State,
    config: Mapping[str, Any],
    facts: Mapping[str, Any],
    plan: Mapping[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """Write `models/` of a run: the weights in both formats and `model.json`.

    Args:
        folder: The run's folder.
        state: The weights.
        config: The training config.
        facts: The fingerprint.
        plan: The plan.
        **more: Further entries of `model.json`.

    Returns:
        The record written.
    """
    digest = save_weights(state, folder / "models")
    out = len(facts["classes"]) + (facts["head"] == "softmax")
    given = set_options(config)
    name = given.pop("name", config["bundle"])
    fixed = ("spatial_dims", "in_channels", "out_channels")
    options = {**plan["network"], **{k: v for k, v in given.items() if k not in fixed}}
    record = {
        "format": FORMAT,
        "bundle": config["bundle"],
        "intended_use": INTENDED_USE,
        "network": {
            "name": name,
            "spatial_dims": plan["spatial_dims"],
            "in_channels": len(facts["modality"]),
            "out_channels": out,
            "options": options,
        },
        "facts": dict(facts),
        "plan": {**plan, "network": options},
        "weights": {"file": "model.safetensors", "sha256": digest},
        "versions": versions(),
        **more,
    }
    write_record(folder / "models", record)
    return record


def set_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """What `network_def` holds as plain values: the bundle's name, and options that were set."""
    return {
        key: value
        for key, value in config.get("network_def", {}).items()
        if not key.startswith("_") and not str(value).startswith(("$", "@"))
    }


def versions() -> dict[str, str]:
    """Versions of what computes."""
    names = ("torch", "monai", "numpy", "pytorch-ignite")
    found = {name: version(name) for name in names}
    return {"unetworks": __version__, "python": platform.python_version(), **found}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
