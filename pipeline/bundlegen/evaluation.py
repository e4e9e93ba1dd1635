"""The evaluators of the configs: validation during a training, and the held-out cases."""

from typing import Any

from pipeline.bundlegen.settings import decision, preprocessing, score_table


def validate_section() -> dict[str, Any]:
    """Sliding-window validation on the network's grid, which chooses the weights."""
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
            # float16 were it not said; whether at all, the training sets as it measured
            "amp_kwargs": {"dtype": "$engine.amp_dtype(@compute_device)"},
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
