"""`train.json`: the model zoo's keys, each readable and each overridable on the command line."""

from typing import Any

from pipeline.bundlegen.evaluation import prepared_key, test_section, validate_section
from pipeline.bundlegen.randomness import random_transforms
from pipeline.bundlegen.settings import (
    IMPORTS,
    Source,
    inferer,
    network_item,
    plan_item,
    preprocessing,
    train_settings,
)

# in this order: the data set is looked at before anything else reads it
RUN = ["$engine.check_data(@manifest, @dataset_dir, @fold)", "$@workflow.run()"]


def train_config(bundle: str, source: Source) -> dict[str, Any]:
    """Return the training config of a bundle."""
    return {
        "imports": IMPORTS,
        **train_settings(bundle, source),
        "facts": "$bundles.facts(@manifest, @dataset_dir, @fold)",
        "plan": plan_item(bundle, source),
        "compute_device": "$bundles.pick_device(@device)",
        "network_def": network_item(bundle, source),
        "network": "$engine.place(@network_def, @compute_device)",
        "average": {"_target_": "pipeline.train.Average", "network": "@network", "decay": 0.98},
        "loss": _loss(source),
        "optimizer": {
            "_target_": "torch.optim.AdamW",
            "params": "$@network.parameters()",
            "lr": "$@plan['learning_rate']",
            "weight_decay": 0.001,
        },
        "lr_scheduler": {
            "_target_": "pipeline.train.WarmCosine",
            "optimizer": "@optimizer",
            "warmup": 0.05,
        },
        "inferer": inferer(),
        "train": _train(),
        "validate": validate_section(),
        "test": test_section("@average.module"),
        "workflow": _workflow(),
        "initialize": ["$bundles.check('train')", "$monai.utils.set_determinism(seed=@seed)"],
        "training": RUN,
        "run": RUN,
    }


def _loss(source: Source) -> dict[str, Any]:
    """Cross-entropy + Dice of all heads, and of a guided network its classification."""
    segmentation = {
        "_target_": "pipeline.losses.DiceCELoss",
        "weights": "$@plan['class_weights']",
        "shares": "$@facts['shares'] if @plan['class_weights'] else None",
        "anneal_until": 0.7,
        "sigmoid": "$@facts['head'] == 'sigmoid'",
    }
    if "cgm" not in source["options"]:
        return segmentation
    return {"_target_": "pipeline.losses.GuidedLoss", "segmentation": segmentation}


def _train() -> dict[str, Any]:
    return {**_cases(), **_parts(), "handlers": _handlers(), "trainer": _trainer()}


def _cases() -> dict[str, Any]:
    """From the manifest to batches."""
    return {
        "deterministic_transforms": preprocessing(["image", "label"]),
        "random_transforms": random_transforms(),
        "preprocessing": {
            "_target_": "Compose",
            "transforms": "$@train::deterministic_transforms + @train::random_transforms",
        },
        "data": "$bundles.datalist(@manifest, 'train', @dataset_dir, @fold)",
        "dataset": {
            "_target_": "pipeline.train.prepared",
            "data": "@train::data",
            "transform": "@train::preprocessing",
            "cache_gb": "@cache_gb",
            "key": prepared_key("train"),
        },
        "sampler": {
            "_target_": "pipeline.train.EpochSampler",
            "cases": "$len(@train::data)",
            "samples": "$@plan['epoch_length'] * @plan['batch_size']",
            "seed": "@seed",
        },
        "dataloader": {
            "_target_": "pipeline.train.loader",
            "dataset": "@train::dataset",
            "batch_size": "$@plan['batch_size']",
            "sampler": "@train::sampler",
            "num_workers": "@num_workers",
            "device": "@compute_device",
        },
    }


def _parts() -> dict[str, Any]:
    """What the handlers and the trainer share."""
    return {
        "inferer": {"_target_": "SimpleInferer"},
        "step": {"_target_": "pipeline.train.TrainStep", "average": "@average", "clip": 5.0},
        "clock": {
            "_target_": "pipeline.train.Clock",
            "schedule": "@lr_scheduler",
            "loss": "@loss",
            "max_epochs": "@max_epochs",
            "max_minutes": "@max_minutes",
        },
        "tracker": {
            "_target_": "pipeline.tracking.handler.TrackingHandler",
            "experiment": "@experiment",
            "run_name": "$@output_dir.rstrip('/').split('/')[-1]",
            "params": "@train::settings",
            "tags": "$dict(manifest=@facts['name'], manifest_hash=@facts['hash'])",
            "tracking_uri": "@tracking_uri",
            "optimizer": "@optimizer",
            "evaluator": "@validate::evaluator",
        },
        "settings": "$engine.saved_settings(bundles.current_config(), @plan, "
        "max_minutes=@max_minutes, device=str(@compute_device))",
        "saver": {
            "_target_": "pipeline.train.StateSaver",
            "folder": "@output_dir",
            "network": "@network",
            "parts": {
                "average": "@average",
                "optimizer": "@optimizer",
                "clock": "@train::clock",
                "best": "@validate::best",
                "tracker": "@train::tracker",
            },
            "settings": "@train::settings",
        },
    }


def _handlers() -> list[Any]:
    """In the order in which they hear of an event; the tracking stands first."""
    return [
        {"_target_": "pipeline.train.handler", "item": "@train::tracker"},
        {
            "_target_": "pipeline.train.EpochSeed",
            "sampler": "@train::sampler",
            "dataset": "@train::dataset",
            "seed": "@seed",
        },
        {"_target_": "pipeline.train.handler", "item": "@train::clock"},
        {
            "_target_": "pipeline.train.Validation",
            "interval": "$@plan['val_interval']",
            "validator": "@validate::evaluator",
            "clock": "@train::clock",
        },
        {"_target_": "pipeline.train.handler", "item": "@train::saver"},
        {
            "_target_": "pipeline.train.EpochLog",
            "clock": "@train::clock",
            "best": "@validate::best",
        },
    ]


def _trainer() -> dict[str, Any]:
    """MONAI's trainer with our update."""
    return {
        "_target_": "SupervisedTrainer",
        "max_epochs": "$@max_epochs or 1000000",
        "device": "@compute_device",
        "train_data_loader": "@train::dataloader",
        "network": "@network",
        "optimizer": "@optimizer",
        "loss_function": "@loss",
        "epoch_length": "$@plan['epoch_length']",
        "inferer": "@train::inferer",
        "iteration_update": "@train::step",
        "decollate": False,
        "train_handlers": "@train::handlers",
    }


def _workflow() -> dict[str, Any]:
    return {
        "_target_": "pipeline.train.Training",
        "trainer": "@train::trainer",
        "tester": "@test::evaluator",
        "network": "@network",
        "average": "@average",
        "best": "@validate::best",
        "step": "@train::step",
        "clock": "@train::clock",
        "saver": "@train::saver",
        "tracker": "@train::tracker",
        "table": "@test::table",
        "output_dir": "@output_dir",
        "facts": "@facts",
        "plan": "@plan",
        "weights": "@weights",
        "new_head": "@new_head",
        "resume": "@resume",
        "amp": "@amp",
        "calibration": "@calibration",
        "validator": "@validate::evaluator",
    }
