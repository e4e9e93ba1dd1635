"""`evaluate.json`, `inference.json`, `metadata.json` and `logging.conf`."""

from typing import Any

from pipeline import __version__
from pipeline.bundlegen.evaluation import test_section
from pipeline.bundlegen.settings import (
    DATA,
    IMPORTS,
    Source,
    decision,
    inferer,
    network_item,
    option_settings,
    planned_options,
    preprocessing,
)
from pipeline.bundles.record import INTENDED_USE
from pipeline.networks.facts import network_facts

# The tested set, as constraints.txt pins it
TESTED = {
    "monai": "1.6.1",
    "torch": "2.13.0",
    "numpy": "2.4.6",
    "nibabel": "5.4.2",
    "pydicom": "3.0.2",
    "pytorch-ignite": "0.5.5",
    "safetensors": "0.8.0",
}
REQUIRED = ("nibabel", "pydicom", "pytorch-ignite", "safetensors")

LOGGING = """[loggers]
keys=root,ignite,unetworks

[handlers]
keys=stderr

[formatters]
keys=plain

[logger_root]
level=WARNING
handlers=stderr

# says of each exception that there is one; the command says what it is
[logger_ignite]
level=CRITICAL
handlers=
qualname=ignite

[logger_unetworks]
level=INFO
handlers=stderr
propagate=0
qualname=unetworks

[handler_stderr]
class=StreamHandler
level=INFO
formatter=plain
args=(sys.stderr,)

[formatter_plain]
format=%(message)s
"""


def _shared(bundle: str, source: Source) -> dict[str, Any]:
    """What evaluation and inference have in common: a trained network and what it was made for."""
    return {
        "facts": "$bundles.facts(@manifest, @dataset_dir, @fold, @weights)",
        "plan": {
            "_target_": "pipeline.bundles.plan",
            "facts": "@facts",
            "network": bundle,
            "preset": "@preset",
            "spatial_dims": "@spatial_dims",
            "weights": "@weights",
            "device": "@device",
            "options": planned_options(bundle, source),
            "patch": "@patch",
        },
        "compute_device": "$bundles.pick_device(@device)",
        "network_def": network_item(bundle, source),
        "network": "$bundles.trained(@network_def, @weights).to(@compute_device)",
        "inferer": inferer(),
    }


def _settings(bundle: str, source: Source, **more: Any) -> dict[str, Any]:
    return {
        "bundle": bundle,
        **DATA,
        **option_settings(bundle, source),
        "weights": None,
        "patch": None,
        "device": None,
        "bundle_root": "$bundles.root()",
        **more,
    }


def evaluate_config(bundle: str, source: Source) -> dict[str, Any]:
    """Return the config that scores a trained bundle on the held-out cases of a manifest."""
    run = ["$engine.evaluate(@test::evaluator, @test::table)"]
    return {
        "imports": IMPORTS,
        **_settings(bundle, source, output_dir=f"$bundles.run_folder({bundle!r} + '-evaluate')"),
        **_shared(bundle, source),
        "test": test_section("@network"),
        # the names that MONAI asks of a bundle of this kind
        "dataset": "@test::dataset",
        "dataloader": "@test::dataloader",
        "preprocessing": "@test::preprocessing",
        "postprocessing": "@test::postprocessing",
        "handlers": "@test::evaluator::val_handlers",
        "evaluator": "@test::evaluator",
        "initialize": ["$bundles.check('evaluate')"],
        "evaluating": run,
        "run": run,
    }


def inference_config(bundle: str, source: Source) -> dict[str, Any]:
    """Return the config that writes masks for scans or pictures."""
    run = ["$predict.infer(@evaluator, @writer)"]
    return {
        "imports": [*IMPORTS, "$import pipeline.predict as predict"],
        **_settings(bundle, source, input=None, output_dir="predictions", cases="test"),
        **_shared(bundle, source),
        "datalist": "$predict.datalist(@input, @manifest, @dataset_dir, @fold, @cases)",
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing(["image"])},
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {
            "_target_": "pipeline.train.loader",
            "dataset": "@dataset",
            "device": "@compute_device",
        },
        "postprocessing": decision(restored=True),
        "writer": {
            "_target_": "pipeline.predict.MaskWriter",
            "output_dir": "@output_dir",
            "facts": "@facts",
            "weights": "@weights",
            "plan": "@plan",
        },
        "handlers": ["@writer"],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@compute_device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "initialize": ["$bundles.check('inference')"],
        "inferring": run,
        "run": run,
    }


def spatial_shapes(bundle: str, source: Source) -> tuple[str, str]:
    """Axes that the compact network takes in evaluation and what it makes of them, by a number n.

    At n = 1 two voxels stand at its bottleneck, which a norm needs.
    """
    options = {k: v for k, v in source["options"].items() if not str(v).startswith(("$", "@"))}
    facts = network_facts(bundle, 3, "compact", **options)
    step = max(facts.divisor)
    if facts.border:
        more = facts.smallest[0] - step
        return f"{step}*n+{more}", f"{step}*n-{facts.border - more}"
    padded = f"{source.get('shape_step') or max(16, 2 * step)}*n"
    return padded, padded


def metadata(bundle: str, source: Source) -> dict[str, Any]:
    """Return `metadata.json` for the phantom, valid against the schema of 2024-07-25."""
    names = [
        "background",
        "liver",
        "liver tumour",
        "spleen",
        "left kidney",
        "right kidney",
        "aorta",
    ]
    image, pred = spatial_shapes(bundle, source)
    return {
        "schema": "https://project-monai.github.io/schema/meta_schema_20240725.json",
        "version": __version__,
        "changelog": {__version__: "first version"},
        "monai_version": TESTED["monai"],
        "pytorch_version": TESTED["torch"],
        "numpy_version": TESTED["numpy"],
        "required_packages_version": {name: TESTED[name] for name in REQUIRED},
        "task": source["task"],
        "description": source["description"],
        "authors": "the unetworks authors",
        "copyright": "the unetworks authors, Apache-2.0",
        "data_source": "phantom",
        "data_type": "CT",
        "image_classes": "one channel per modality",
        "label_classes": ", ".join(names),
        "pred_classes": ", ".join(names),
        "intended_use": INTENDED_USE,
        "references": source["references"],
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "hounsfield",
                    "modality": "CT",
                    "num_channels": 1,
                    "spatial_shape": [image] * 3,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {"0": "CT"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": len(names),
                    "spatial_shape": [pred] * 3,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {str(i): name for i, name in enumerate(names)},
                }
            },
        },
    }
