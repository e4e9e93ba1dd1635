"""A run's folder as a standard MONAI bundle that needs neither manifest nor data."""

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.bundles.record import FORMAT, INTENDED_USE, write_record
from pipeline.bundles.weights import State, save_weights
from pipeline.io import atomic_path
from pipeline.planning.intensities import network_channels
from pipeline.settings import without_password

PLANNED = (
    "spacing", "normalisation", "patch", "batch_size", "epoch_length", "learning_rate", "norm",
    "val_interval", "polarity", "contrast", "slices",
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
    settings.update({name: plan.get(name) for name in PLANNED})
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
    border: int = 0,
) -> None:
    """Write `configs/` of a run: everything that manifest and plan supplied is frozen in.

    Args:
        folder: The run's folder.
        source: Folder of the configs being run.
        config: The training config with its overrides, expressions as text.
        facts: The fingerprint.
        plan: The plan.
        border: Voxels that the network loses per axis.
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
            chosen = (*SHARED, *(name for name in plan["network"] if name in frozen))
            frozen.update({name: settings[name] for name in chosen if name in settings})
            frozen["plan"] = dict(plan)
            frozen["network_def"] = {**frozen["network_def"], **set_options(config)}
            frozen["weights"] = "$@bundle_root + '/models/model.safetensors'"
        if isinstance(frozen.get("tracking_uri"), str):
            frozen["tracking_uri"] = without_password(frozen["tracking_uri"])
        _write_json(target / f"{kind}.json", frozen)
    _write_json(target / "metadata.json", metadata(source, facts, plan, border))
    if (source / "logging.conf").is_file() and source != target:
        shutil.copyfile(source / "logging.conf", target / "logging.conf")


def metadata(
    source: Path, facts: Mapping[str, Any], plan: Mapping[str, Any], border: int = 0
) -> dict[str, Any]:
    """The committed metadata with this model's data, channels, classes and sizes."""
    meta: dict[str, Any] = json.loads((source / "metadata.json").read_text())
    formats = meta["network_data_format"]
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    patch = plan["patch"]
    modality = ", ".join(dict.fromkeys(facts["modality"]))
    softmax = facts["head"] == "softmax"
    names = (["background"] if softmax else []) + list(facts["classes"])
    channels = network_channels(facts["modality"], plan)
    image.update(
        num_channels=len(channels),
        modality=modality,
        format=image_format(facts["modality"]),
        spatial_shape=list(patch),
        channel_def={str(i): name for i, name in enumerate(channels)},
    )
    pred.update(
        num_channels=len(names),
        spatial_shape=[n - border for n in patch],
        channel_def={str(i): name for i, name in enumerate(names)},
    )
    meta["data_source"] = facts["name"]
    meta["data_type"] = modality
    _, _, network = meta["task"].partition(" segmentation ")
    meta["task"] = f"{modality} segmentation {network}"
    what, _, _ = meta["description"].partition(" Trained on ")
    cases = f"{facts['cases']} cases" if facts["cases"] > 1 else "1 case"
    meta["description"] = f"{what} Trained on {facts['name']}: {cases}, {modality}."
    meta["label_classes"] = meta["pred_classes"] = ", ".join(names)
    return meta


def image_format(modality: Sequence[str]) -> str:
    """What the values of an image are, in the words of MONAI's metadata."""
    kinds = {"CT": "hounsfield", "MR": "magnitude"}
    found = {kinds.get(name.upper().partition(" ")[0], "raw") for name in modality}
    return found.pop() if len(found) == 1 else "raw"


def settled(
    config: Mapping[str, Any], built_with: Mapping[str, Any], plan: Mapping[str, Any]
) -> dict[str, Any]:
    """The config with the network's options as it was built, where the plan has others.

    An option may be overridden by an expression, which nobody evaluates after the training.

    Args:
        config: The training config with its overrides, expressions as text.
        built_with: The network's options.
        plan: The plan.
    """
    planned = plan["network"]
    changed = {
        name: value
        for name, value in built_with.items()
        if name not in planned or _plain(value) != _plain(planned[name])
    }
    return {**config, "network_def": {**config["network_def"], **_plain(changed)}}


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
            "in_channels": len(network_channels(facts["modality"], plan)),
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


def _plain(value: Any) -> Any:
    """Lists, dicts and scalars, as JSON has them."""
    return json.loads(json.dumps(value))
