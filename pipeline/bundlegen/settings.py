"""The settings at the top of the configs, written once for all bundles."""

from collections.abc import Mapping
from typing import Any

from pipeline.networks import option_defaults, preset_names

Source = Mapping[str, Any]

# voxels that unpadded convolutions take off each axis; 0 for most
BORDER = "$@network_def.border"
# adjacent slices that a 2D network sees
SLICES = "@plan.get('slices', 1)"

IMPORTS = [
    "$import pipeline",
    "$import pipeline.bundles as bundles",
    "$import pipeline.train as engine",
]
DATA: dict[str, Any] = {
    "spatial_dims": 3,
    "manifest": "phantom",
    "dataset_dir": None,
    "fold": None,
    "preset": "compact",
}
PLANNED: dict[str, Any] = {
    "window": None,
    "spacing": None,
    "normalisation": None,
    "patch": None,
    "batch_size": None,
    "epoch_length": None,
    "learning_rate": None,
    "norm": None,
    "class_weights": None,
    "augment": None,
    "val_interval": None,
    "polarity": None,
    "contrast": None,
    "slices": None,
}


def train_settings(bundle: str, source: Source) -> dict[str, Any]:
    """The settings of a training, in the order of the documentation."""
    return {
        "bundle": bundle,
        **DATA,
        "max_epochs": None,
        # the default limit of time no longer holds once a number of epochs is given
        "max_minutes": "$2 if @max_epochs is None else None",
        **PLANNED,
        **source.get("settings", {}),
        **option_settings(bundle, source),
        "weights": None,
        "new_head": False,
        "resume": None,
        "device": None,
        "amp": None,
        "seed": 0,
        "num_workers": None,
        "cache_gb": None,
        "calibration": 8,
        "tracking_uri": None,
        "experiment": bundle,
        "bundle_root": "$bundles.root()",
        "output_dir": f"$bundles.run_folder({bundle!r}, @resume)",
    }


def option_settings(bundle: str, source: Source) -> dict[str, Any]:
    """The network's options that are settings of the bundle, with their defaults."""
    heads = {k: v for k, v in option_defaults(bundle).items() if k == "deep_supervision"}
    given = {k: v for k, v in source["options"].items() if not _is_expression(v)}
    return {**heads, **given}


def planned_options(bundle: str, source: Source) -> dict[str, Any]:
    """What the plan is told of the network: its settings by reference, expressions as they are."""
    settings = {name: f"@{name}" for name in option_settings(bundle, source)}
    return {**source["options"], **settings}


def plan_item(bundle: str, source: Source) -> dict[str, Any]:
    """The plan of a training: the rules, and each planned setting that overrides one."""
    return {
        "_target_": "pipeline.bundles.plan",
        "facts": "@facts",
        "network": bundle,
        "preset": "@preset",
        "spatial_dims": "@spatial_dims",
        "device": "@device",
        "options": planned_options(bundle, source),
        **{name: f"@{name}" for name in PLANNED},
    }


def network_item(bundle: str, source: Source) -> dict[str, Any]:
    """The network: its channels from the facts, its options from the plan."""
    return {
        "_target_": "pipeline.networks.build_network",
        "name": bundle,
        "spatial_dims": "$@plan['spatial_dims']",
        # one channel with several windows becomes as many, and so do adjacent slices
        "in_channels": f"$len(@plan['window'] or @facts['modality']) * {SLICES}",
        "out_channels": "$len(@facts['classes']) + (@facts['head'] == 'softmax')",
        **{
            name: f"$@plan['network'][{name!r}]"
            for name in (*preset_names(bundle), *planned_options(bundle, source))
        },
    }


def preprocessing(keys: list[str]) -> list[dict[str, Any]]:
    """From files to the network's input; the same for training and prediction."""
    steps: list[dict[str, Any]] = [
        {"_target_": "pipeline.transforms.reader.ReadVolumed", "keys": keys},
        {
            "_target_": "pipeline.transforms.grid.ToGridd",
            "keys": keys,
            "spacing": "$@plan['spacing']",
        },
        {
            "_target_": "pipeline.transforms.channels.ToChannelsd",
            "keys": "image",
            "channels": "$@plan.get('channels')",
        },
        {
            "_target_": "pipeline.transforms.polarity.Polarityd",
            "keys": "image",
            "polarity": "$@plan.get('polarity', False)",
        },
        {
            "_target_": "pipeline.transforms.normalise.Normalised",
            "keys": "image",
            "normalisation": "$@plan['normalisation']",
            "window": "$@plan['window']",
            "statistics": "$@plan.get('statistics')",
        },
        {
            "_target_": "pipeline.transforms.contrast.Contrastd",
            "keys": "image",
            "contrast": "$@plan.get('contrast')",
        },
    ]
    if "label" in keys:
        steps.append(
            {
                "_target_": "pipeline.transforms.classes.ToClassesd",
                "keys": "label",
                "values": "$@facts['values']",
                "known": "$@facts.get('integers', ())",
                "head": "$@facts['head']",
            }
        )
    return steps


def inferer() -> dict[str, Any]:
    """The sliding window."""
    return {
        "_target_": "pipeline.inferers.window_inferer",
        "patch": "$@plan['patch']",
        "overlap": "$@plan['overlap']",
        "slice_axis": "$@plan['slice_axis']",
        "border": BORDER,
        "slices": f"${SLICES}",
    }


def decision(*, restored: bool) -> dict[str, Any]:
    """From logits to classes, on the network's grid or brought back to the source's."""
    steps: list[dict[str, Any]] = [
        {
            "_target_": "pipeline.transforms.classes.ToDecisiond",
            "keys": "pred",
            "head": "$@facts['head']",
        }
    ]
    if restored:
        steps.append({"_target_": "pipeline.transforms.grid.RestoreGridd", "keys": "pred"})
    return {"_target_": "Compose", "transforms": steps}


def score_table() -> dict[str, Any]:
    """Scores on the labels' own grid."""
    return {
        "_target_": "pipeline.train.ScoreTable",
        "path": "$@output_dir + '/scores.csv'",
        "facts": "@facts",
        "pictures": "$@output_dir + '/pictures'",
        "window": "$@plan['window']",
    }


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("$", "@"))
