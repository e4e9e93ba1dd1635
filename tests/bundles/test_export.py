import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.bundlegen.settings import PLANNED
from pipeline.bundles.export import (
    image_format,
    metadata,
    resolved_settings,
    settled,
    versions,
    write_configs,
    write_model,
)
from pipeline.bundles.record import read_record
from pipeline.bundles.settings import plan as planned
from pipeline.bundles.settings import trained
from pipeline.bundles.weights import read_weights
from pipeline.networks import build_network

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "bundles" / "attunet"
SCHEMA = ROOT / "tests" / "data" / "meta_schema_20240725.json"
Values = dict[str, Any]


@pytest.fixture
def config() -> Values:
    config: Values = json.loads((BUNDLE / "train.json").read_text())
    return config


def test_planned_values_take_the_place_of_null(config: Values, plan: Values) -> None:
    settings = resolved_settings(config, plan)
    assert settings["patch"] == plan["patch"]
    assert settings["spacing"] == [1.0, 1.0, 1.5]
    assert settings["norm"] == "batch"
    assert settings["class_weights"] == plan["class_weights"]
    assert settings["seed"] == 0
    assert "output_dir" not in settings, "expressions stay out"
    assert "plan" not in settings


def test_a_run_of_the_resolved_settings_is_planned_the_same(
    config: Values, facts: Values, plan: Values
) -> None:
    settings = resolved_settings(config, plan)
    again = planned(facts, "attunet", spatial_dims=2, **{name: settings[name] for name in PLANNED})
    assert {**again, "why": None} == {**plan, "why": None}


def test_the_configs_of_a_run_need_neither_manifest_nor_data(
    tmp_path: Path, config: Values, facts: Values, plan: Values
) -> None:
    config |= {"manifest": "/data/set.json", "spatial_dims": 2, "max_epochs": 7, "resume": "last"}
    write_configs(tmp_path, BUNDLE, config, facts, plan)
    names = {p.name for p in (tmp_path / "configs").iterdir()}
    assert names == {
        "train.json",
        "evaluate.json",
        "inference.json",
        "metadata.json",
        "logging.conf",
    }
    for name in ("train", "evaluate", "inference"):
        frozen = json.loads((tmp_path / "configs" / f"{name}.json").read_text())
        assert frozen["facts"] == facts
        assert frozen["spatial_dims"] == 2
        committed = json.loads((BUNDLE / f"{name}.json").read_text())
        assert list(frozen) == list(committed)
        if name == "train":
            assert frozen["max_epochs"] == 7
            assert frozen["resume"] is None
            assert frozen["patch"] == plan["patch"]
            assert "run_folder" in frozen["output_dir"], "a second run gets a folder of its own"
        else:
            assert frozen["plan"] == plan
            assert frozen["weights"] == "$@bundle_root + '/models/model.safetensors'"


def test_options_set_for_the_network_reach_all_that_builds_it(
    tmp_path: Path, config: Values, facts: Values, plan: Values
) -> None:
    config["network_def"] |= {"widths": [2, 4, 8], "dropout": 0.1}
    write_configs(tmp_path, BUNDLE, config, facts, plan)
    inference = json.loads((tmp_path / "configs" / "inference.json").read_text())
    assert inference["network_def"]["widths"] == [2, 4, 8]
    network = build_network("attunet", 2, 1, 3, widths=[2, 4, 8], dropout=0.1)
    record = write_model(tmp_path, network.state_dict(), config, facts, plan)
    given = {"widths": [2, 4, 8], "dropout": 0.1}
    assert record["network"]["options"] == {**plan["network"], **given}
    assert record["plan"]["network"] == record["network"]["options"]


def test_the_metadata_of_a_run_are_those_of_its_data(facts: Values, plan: Values) -> None:
    meta = metadata(BUNDLE, facts, plan)
    jsonschema.validate(meta, json.loads(SCHEMA.read_text()))
    formats = meta["network_data_format"]
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    assert image["num_channels"] == 1
    assert len(image["spatial_shape"]) == len(pred["spatial_shape"]) == 2
    assert pred["channel_def"] == {"0": "background", "1": "liver", "2": "liver tumour"}
    assert pred["num_channels"] == 3
    assert (meta["data_source"], meta["data_type"]) == ("tiny", "CT")


def test_regions_have_no_background_channel(facts: Values, plan: Values) -> None:
    meta = metadata(BUNDLE, facts | {"head": "sigmoid", "modality": ["MR", "MR"]}, plan)
    formats = meta["network_data_format"]
    assert formats["outputs"]["pred"]["channel_def"] == {"0": "liver", "1": "liver tumour"}
    assert formats["inputs"]["image"]["channel_def"] == {"0": "MR", "1": "MR"}
    assert formats["inputs"]["image"]["num_channels"] == 2


def test_a_model_is_written_with_what_is_needed_to_build_it(
    tmp_path: Path, config: Values, facts: Values, plan: Values
) -> None:
    network = build_network("attunet", 2, 1, 3, **plan["network"])
    record = write_model(tmp_path, network.state_dict(), config, facts, plan, run_id="abc")
    assert read_record(tmp_path / "models", check=True) == json.loads(json.dumps(record))
    assert record["network"] == {
        "name": "attunet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 3,
        "options": plan["network"],
    }
    assert record["run_id"] == "abc"
    assert "medical device" in record["intended_use"]
    assert record["versions"]["torch"] == version("torch")
    weights = read_weights(tmp_path / "models" / "model.safetensors")
    other = build_network("attunet", 2, 1, 3, **record["network"]["options"])
    other.load_state_dict(weights)
    found = trained(build_network("attunet", 2, 1, 3, **plan["network"]), str(tmp_path))
    assert not found.training


def test_versions_name_what_computes() -> None:
    assert set(versions()) == {"unetworks", "python", "torch", "monai", "numpy", "pytorch-ignite"}


def test_an_option_given_as_an_expression_is_recorded_by_its_value(
    tmp_path: Path, config: Values, facts: Values, plan: Values
) -> None:
    config["network_def"]["dropout"] = "$0.1 * 2"
    options = {**plan["network"], "widths": (2, 4, 8), "dropout": 0.2}
    network = build_network("attunet", 2, 1, 3, **options)
    final = settled(config, network.built_with, plan)
    assert final["network_def"]["dropout"] == 0.2
    assert final["network_def"]["widths"] == [2, 4, 8]
    assert final["network_def"]["norm"] == config["network_def"]["norm"], "as planned"
    write_configs(tmp_path, BUNDLE, final, facts, plan)
    inference = json.loads((tmp_path / "configs" / "inference.json").read_text())
    assert inference["network_def"]["dropout"] == 0.2
    record = write_model(tmp_path, network.state_dict(), final, facts, plan)
    assert record["network"]["options"]["dropout"] == 0.2
    assert record["network"]["options"]["widths"] == [2, 4, 8]


@pytest.mark.parametrize(
    ("modality", "expected"),
    [
        (["CT"], "hounsfield"),
        (["MR"], "magnitude"),
        (["MR T1", "MR T2"], "magnitude"),
        (["CT", "PT"], "raw"),
        (["photograph"], "raw"),
    ],
)
def test_the_values_of_an_image_are_named_as_monai_names_them(
    modality: list[str], expected: str
) -> None:
    assert image_format(modality) == expected


def test_metadata_say_what_the_data_are(facts: Values, plan: Values) -> None:
    facts |= {"modality": ["MR"], "name": "hippocampus", "cases": 208}
    meta = metadata(BUNDLE, facts, plan)
    jsonschema.validate(meta, json.loads(SCHEMA.read_text()))
    assert meta["task"] == "MR segmentation with an Attention U-Net"
    assert meta["description"].endswith("Trained on hippocampus: 208 cases, MR.")
    assert "CT" not in json.dumps({k: v for k, v in meta.items() if k != "references"})
    image = meta["network_data_format"]["inputs"]["image"]
    assert (image["format"], image["modality"]) == ("magnitude", "MR")


def test_metadata_of_an_unpadded_network_name_both_sizes(facts: Values, plan: Values) -> None:
    plan["patch"] = [316, 316]
    formats = metadata(ROOT / "bundles" / "unet_valid", facts, plan, 184)["network_data_format"]
    assert formats["inputs"]["image"]["spatial_shape"] == [316, 316]
    assert formats["outputs"]["pred"]["spatial_shape"] == [132, 132]
