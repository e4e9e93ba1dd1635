"""`train.json`: the model zoo's keys, each readable and each overridable on the command line."""

from typing import Any

from pipeline.bundlegen.settings import (
    IMPORTS,
    Source,
    decision,
    inferer,
    network_item,
    plan_item,
    preprocessing,
    score_table,
    train_settings,
)


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
        "loss": {
            "_target_": "pipeline.losses.DiceCELoss",
            "weights": "$@plan['class_weights']",
            "shares": "$@facts['shares'] if @plan['class_weights'] else None",
            "anneal_until": 0.7,
            "sigmoid": "$@facts['head'] == 'sigmoid'",
        },
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
        "validate": _validate(),
        "test": test_section("@average.module"),
        "workflow": _workflow(),
        "initialize": ["$bundles.check('train')", "$monai.utils.set_determinism(seed=@seed)"],
        "training": ["$@workflow.run()"],
        "run": ["$@workflow.run()"],
    }


def _random() -> list[dict[str, Any]]:
    """Patches and their random changes."""
    both = ["image", "label"]
    augment, gamma = "$@plan['augment']", "@plan['augment']['gamma']"
    axes, turns = "len(@plan['patch'])", "(3 if len(@plan['patch']) == 3 else 1)"
    return [
        {
            "_target_": "pipeline.transforms.patches.PadToPatchd",
            "keys": both,
            "patch": "$@plan['patch']",
            "slice_axis": "$@plan['slice_axis']",
        },
        {
            "_target_": "pipeline.transforms.patches.ClassIndicesd",
            "keys": "label",
            "classes": "$len(@facts['classes'])",
            "head": "$@facts['head']",
        },
        {
            "_target_": "pipeline.transforms.patches.BalancedCropd",
            "keys": both,
            "patch": "$@plan['patch']",
            "sampling": "$@plan['sampling']",
            "slice_axis": "$@plan['slice_axis']",
        },
        *(
            {
                "_target_": "RandFlipd",
                "keys": both,
                "prob": f"$0.5 if {axis} in @plan['augment']['flip'] else 0.0",
                "spatial_axis": axis,
            }
            for axis in range(3)
        ),
        {
            "_target_": "RandAffined",
            "keys": both,
            "prob": f"{augment}['probability']",
            "rotate_range": f"$[@plan['augment']['rotate']] * {turns}",
            "scale_range": f"$[@plan['augment']['scale']] * {axes}",
            "translate_range": "$[@plan['augment']['shift'] * n for n in @plan['patch']]",
            "mode": ["bilinear", "nearest"],
            "padding_mode": "border",
        },
        {
            "_target_": "RandAdjustContrastd",
            "keys": "image",
            "prob": f"$0.3 if {gamma} else 0.0",
            "gamma": f"${gamma} or [0.9, 1.1]",
        },
        {
            "_target_": "RandScaleIntensityd",
            "keys": "image",
            "prob": 0.5,
            "factors": f"{augment}['gain']",
        },
        {
            "_target_": "RandShiftIntensityd",
            "keys": "image",
            "prob": 0.5,
            "offsets": f"{augment}['offset']",
        },
        {
            "_target_": "RandGaussianNoised",
            "keys": "image",
            "prob": 0.2,
            "std": f"{augment}['noise']",
        },
        {"_target_": "EnsureTyped", "keys": both, "track_meta": False},
    ]


def _train() -> dict[str, Any]:
    return {
        "deterministic_transforms": preprocessing(["image", "label"]),
        "random_transforms": _random(),
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
        "settings": "$engine.saved_settings(bundles.current_config(), @plan)",
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
        "handlers": [
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
        ],
        "trainer": {
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
        },
    }


def _validate() -> dict[str, Any]:
    return {
        "preprocessing": {
            "_target_": "Compose",
            "transforms": "@train::deterministic_transforms",
        },
        "dataset": {
            "_target_": "pipeline.train.prepared",
            "data": "$bundles.datalist(@manifest, 'val', @dataset_dir, @fold)",
            "transform": "@validate::preprocessing",
            # what the training cases have left
            "cache_gb": "$getattr(@train::dataset, 'left_gb', @cache_gb)",
            "key": prepared_key("validate"),
        },
        "dataloader": {
            "_target_": "pipeline.train.loader",
            "dataset": "@validate::dataset",
            "device": "@compute_device",
        },
        "inferer": "@inferer",
        "postprocessing": decision(restored=False),
        "key_metric": {
            "dice_mean": {
                "_target_": "pipeline.metrics.running.MeanDice",
                "classes": "$@facts['classes']",
            }
        },
        "best": {"_target_": "pipeline.train.BestWeights", "average": "@average"},
        "pictures": {
            "_target_": "pipeline.train.ValidationPictures",
            "folder": "$@output_dir + '/pictures'",
            "facts": "@facts",
            "spacing": "$@plan['spacing']",
            "clock": "@train::clock",
        },
        "handlers": ["@validate::best", "@validate::pictures"],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@compute_device",
            "val_data_loader": "@validate::dataloader",
            "network": "$@average.module",
            "inferer": "@validate::inferer",
            "postprocessing": "@validate::postprocessing",
            "key_val_metric": "@validate::key_metric",
            "val_handlers": "@validate::handlers",
            "amp": "$@compute_device.type == 'cuda' and @amp is not False",
        },
    }


def prepared_key(section: str) -> str:
    """What the prepared cases of a section depend on: data, plan and the transforms as written."""
    text = "bundles.current_config()"
    random = f", {text}['train']['random_transforms']" if section == "train" else ""
    return (
        f"$[@facts, @plan, {text}['train']['deterministic_transforms']{random}, "
        f"{text}['{section}']['preprocessing']]"
    )


def test_section(network: str) -> dict[str, Any]:
    """The held-out cases: predicted as files are, scored on their labels' own grid."""
    return {
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing(["image"])},
        "dataset": {
            "_target_": "Dataset",
            "data": "$bundles.datalist(@manifest, 'test', @dataset_dir, @fold)",
            "transform": "@test::preprocessing",
        },
        "dataloader": {
            "_target_": "pipeline.train.loader",
            "dataset": "@test::dataset",
            "device": "@compute_device",
        },
        "postprocessing": decision(restored=True),
        "table": score_table(),
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@compute_device",
            "val_data_loader": "@test::dataloader",
            "network": f"${network}",
            "inferer": "@inferer",
            "postprocessing": "@test::postprocessing",
            "val_handlers": ["@test::table"],
        },
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
    }
