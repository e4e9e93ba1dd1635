"""The committed bundles: equal to what their sources give, complete, valid, and up to date."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.bundlegen.write import drift, files, main, sources
from pipeline.networks import NETWORKS, network_options
from pipeline.transforms.preparation import image_preparation

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "bundles"
NAMES = sorted(sources())
SCHEMA = ROOT / "tests" / "data" / "meta_schema_20240725.json"
Config = dict[str, Any]

# what the model zoo's configs hold (spleen_ct_segmentation, swin_unetr_btcv_segmentation)
ZOO_TRAIN = (
    "imports bundle_root output_dir dataset_dir val_interval device network_def network loss "
    "optimizer lr_scheduler train validate initialize run"
)
ZOO_TRAIN_BELOW = (
    "deterministic_transforms random_transforms preprocessing dataset dataloader inferer handlers "
    "trainer"
)
ZOO_VALIDATE_BELOW = (
    "preprocessing dataset dataloader inferer postprocessing handlers key_metric evaluator"
)
ZOO_INFERENCE = (
    "imports bundle_root output_dir dataset_dir device datalist network_def network preprocessing "
    "dataset dataloader inferer postprocessing handlers evaluator initialize run"
)


def config(name: str, kind: str) -> Config:
    loaded: Config = json.loads((BUNDLES / name / f"{kind}.json").read_text())
    return loaded


def test_the_committed_bundles_equal_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(BUNDLES) == []
    assert main([str(BUNDLES), "--check"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("change", ["edited", "removed", "left over", "unknown bundle"])
def test_drift_is_found_and_named(
    tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "bundles"
    shutil.copytree(BUNDLES, copy)
    path = copy / "unet" / "train.json"
    if change == "edited":
        path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    elif change == "removed":
        path.unlink()
    else:
        path = copy / ("unet" if change == "left over" else "gone") / "old.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    assert drift(copy) == [str(path)]
    assert main([str(copy), "--check"]) == 1
    assert capsys.readouterr().err == f"{path} differs from its source; run make bundles\n"


def test_writing_gives_the_committed_files_and_mends_drift(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    assert drift(tmp_path) == []
    (tmp_path / "unet" / "train.json").write_text("{}")
    assert main([str(tmp_path)]) == 0
    written = (tmp_path / "unet" / "train.json").read_bytes()
    assert written == (BUNDLES / "unet" / "train.json").read_bytes()


def test_a_bundle_is_one_small_file() -> None:
    source = json.loads((ROOT / "pipeline/bundlegen/sources/unet.json").read_text())
    assert set(source) <= {"options", "task", "description", "references", "shape_step", "settings"}
    assert set(files("unet", source)) == {
        "train.json",
        "evaluate.json",
        "inference.json",
        "metadata.json",
        "logging.conf",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_is_a_network_of_the_table_with_options_that_it_takes(name: str) -> None:
    assert name in NETWORKS
    assert set(sources()[name]["options"]) <= set(network_options(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_configs_hold_the_zoos_keys_and_start_under_both_names(name: str) -> None:
    train = config(name, "train")
    assert set(ZOO_TRAIN.split()) <= set(train)
    assert set(ZOO_TRAIN_BELOW.split()) <= set(train["train"])
    assert set(ZOO_VALIDATE_BELOW.split()) <= set(train["validate"])
    assert train["training"] == train["run"]
    inference = config(name, "inference")
    assert set(ZOO_INFERENCE.split()) <= set(inference)
    assert inference["inferring"] == inference["run"]
    evaluate = config(name, "evaluate")
    assert {"dataset", "evaluator", "inferer", "network_def", "handlers"} <= set(evaluate)
    assert evaluate["evaluating"] == evaluate["run"]


# the settings of a training and their defaults, as users are told
SETTINGS = {
    "spatial_dims": 3, "manifest": "phantom", "fold": None, "preset": "compact",
    "max_epochs": None, "window": None, "spacing": None, "normalisation": None, "patch": None,
    "batch_size": None, "learning_rate": None, "norm": None, "class_weights": None,
    "augment": None, "val_interval": None, "weights": None, "new_head": False, "resume": None,
    "device": None, "amp": None, "seed": 0, "num_workers": None, "cache_gb": None,
    "tracking_uri": None,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_have_the_documented_defaults(name: str) -> None:
    train = config(name, "train")
    fixed = sources()[name].get("settings", {})  # by what the network can take
    assert set(fixed) <= {"patch"}
    assert {key: train[key] for key in SETTINGS} == SETTINGS | fixed
    assert train["experiment"] == name
    assert train["max_minutes"] == "$2 if @max_epochs is None else None"


@pytest.mark.parametrize("name", NAMES)
def test_train_transforms_are_wired_as_monais_check_of_properties_wants_it(name: str) -> None:
    train = config(name, "train")["train"]
    assert train["dataset"]["transform"] == "@train::preprocessing"
    assert train["trainer"]["train_handlers"] == "@train::handlers"
    first = train["handlers"][0]
    assert first["item"] == "@train::tracker", "others may hide a failure from it"


@pytest.mark.parametrize("kind", ["train", "evaluate", "inference"])
@pytest.mark.parametrize("name", NAMES)
def test_every_config_is_complete_in_itself(name: str, kind: str) -> None:
    text = (BUNDLES / name / f"{kind}.json").read_text()
    assert not re.search(r'"%', text), "no include"
    loaded = json.loads(text)
    for key in re.findall(r"@([a-z_]+)", text):
        assert key in loaded, key


@pytest.mark.parametrize("name", NAMES)
def test_initialize_checks_first_and_has_no_other_effect_than_the_seed(name: str) -> None:
    assert config(name, "train")["initialize"] == [
        "$bundles.check('train')",
        "$monai.utils.set_determinism(seed=@seed)",
    ]
    for kind in ("evaluate", "inference"):
        assert config(name, kind)["initialize"] == [f"$bundles.check('{kind}')"]


@pytest.mark.parametrize("name", NAMES)
def test_the_metadata_fit_the_schema_and_say_what_it_is_not_for(name: str) -> None:
    meta = config(name, "metadata")
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft201909Validator.check_schema(schema)
    jsonschema.Draft201909Validator(schema).validate(meta)
    assert meta["schema"].endswith(SCHEMA.name)
    assert "Not a medical device" in meta["intended_use"]
    manifest = json.loads((ROOT / "data_manifests" / "phantom.json").read_text())
    channels = meta["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert list(channels.values()) == ["background", *manifest["labels"]]


@pytest.mark.parametrize("name", NAMES)
def test_the_metadata_name_the_versions_that_are_tested(name: str) -> None:
    pins = dict(
        line.split(";")[0].strip().split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    pins = {key.lower().replace("_", "-"): value.split("+")[0] for key, value in pins.items()}
    meta = config(name, "metadata")
    assert meta["monai_version"] == pins["monai"]
    assert meta["pytorch_version"] == pins["torch"]
    assert meta["numpy_version"] == pins["numpy"]
    for package, version in meta["required_packages_version"].items():
        assert version == pins[package], package


PLAN = {"spacing": [1.0, 2.0, 3.0], "normalisation": "window", "window": [[-100.0, 300.0]]}


@pytest.mark.parametrize("name", NAMES)
def test_inference_prepares_a_scan_as_predict_does(name: str) -> None:
    steps = config(name, "inference")["preprocessing"]["transforms"]
    ours = image_preparation(PLAN).transforms
    assert [s["_target_"].split(".")[-1] for s in steps] == [type(t).__name__ for t in ours]
    for step, transform in zip(steps, ours, strict=True):
        keys = step["keys"] if isinstance(step["keys"], list) else [step["keys"]]
        assert keys == list(transform.keys)
        for option, value in step.items():
            if option not in ("_target_", "keys"):
                # an older run's plan lacks what came later
                assert value in (
                    f"$@plan['{option}']",
                    f"$@plan.get('{option}')",
                    f"$@plan.get('{option}', False)",
                )
    grid, scale = ours[1], ours[4]
    assert list(grid.spacing) == PLAN["spacing"]
    assert scale.window == PLAN["window"]


@pytest.mark.parametrize("name", NAMES)
def test_training_validation_and_test_prepare_alike(name: str) -> None:
    train = config(name, "train")
    fixed = train["train"]["deterministic_transforms"]
    assert train["validate"]["preprocessing"]["transforms"] == "@train::deterministic_transforms"
    inference = config(name, "inference")["preprocessing"]["transforms"]
    assert train["test"]["preprocessing"]["transforms"] == inference
    for one, other in zip(fixed, inference, strict=False):
        assert {k: v for k, v in one.items() if k != "keys"} == {
            k: v for k, v in other.items() if k != "keys"
        }
