"""The committed folders under MONAI's own commands."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from pipeline.networks import preset_options
from tests.tiny import (
    ATTUNET,
    ROOT,
    Outcome,
    base,
    database,
    kept_state,
    shared_run,
    stock,
    tiny,
    train,
    trained,
)

__all__ = ["base", "tiny", "trained"]
BUNDLES = sorted(path.parent for path in (ROOT / "bundles").glob("*/train.json"))
SCHEMA = Path(__file__).parents[1] / "data" / "meta_schema_20240725.json"
ZOO = {
    "train": """imports bundle_root output_dir dataset_dir val_interval device network_def network
        loss optimizer lr_scheduler initialize run training
        train::deterministic_transforms train::random_transforms train::preprocessing
        train::dataset train::dataloader train::inferer train::handlers train::trainer
        validate::preprocessing validate::dataset validate::dataloader validate::inferer
        validate::postprocessing validate::handlers validate::key_metric validate::evaluator""",
    "evaluate": """imports bundle_root output_dir dataset_dir device network_def network dataset
        dataloader inferer preprocessing postprocessing handlers evaluator initialize run
        evaluating""",
    "inference": """imports bundle_root output_dir dataset_dir device network_def network datalist
        dataset dataloader inferer preprocessing postprocessing handlers evaluator initialize run
        inferring""",
}


def ids(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


@pytest.mark.parametrize("bundle", BUNDLES, ids=ids(BUNDLES))
def test_metadata_is_valid_offline(bundle: Path) -> None:
    digest = hashlib.md5(SCHEMA.read_bytes()).hexdigest()
    meta = bundle / "metadata.json"
    monai.bundle.verify_metadata(str(meta), str(SCHEMA), hash_val=digest, hash_type="md5")


CONFIGS = [(bundle, "train") for bundle in BUNDLES]
CONFIGS += [(ATTUNET, config) for config in ("evaluate", "inference")]


@pytest.mark.parametrize(
    ("bundle", "config"), CONFIGS, ids=[f"{bundle.name}-{config}" for bundle, config in CONFIGS]
)
def test_the_network_fits_its_metadata_in_3d_and_in_2d(bundle: Path, config: str) -> None:
    meta = bundle / "metadata.json"
    image = json.loads(meta.read_text())["network_data_format"]["inputs"]["image"]
    shape = "_meta_#network_data_format#inputs#image#spatial_shape"
    flat: dict[str, Any] = {"spatial_dims": 2, shape: image["spatial_shape"][:2]}
    fixed = preset_options(bundle.name, "compact", 2).get("img_size")
    if fixed is not None:  # a network that takes one size alone
        flat[shape] = [fixed] * 2 if isinstance(fixed, int) else list(fixed)
    for more in ({}, flat):
        monai.bundle.verify_net_in_out(
            "network_def",
            meta_file=str(meta),
            config_file=str(bundle / f"{config}.json"),
            device="cpu",
            **more,
        )


@pytest.mark.parametrize("config", ["train", "evaluate", "inference"])
def test_every_key_of_the_zoo_is_there_to_read(config: str) -> None:
    parser = ConfigParser()
    parser.read_config(str(ATTUNET / f"{config}.json"))
    for key in ZOO[config].split():
        assert key in parser, key


@pytest.mark.parametrize(
    ("config", "kind"), [("train", "train"), ("evaluate", "infer"), ("inference", "infer")]
)
def test_properties_are_those_that_monai_asks_for(
    config: str, kind: str, trained: Outcome, tiny: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    more: dict[str, Any] = {} if config == "train" else {"weights": str(trained.run)}
    with kept_state():
        workflow = ConfigWorkflow(
            config_file=str(ATTUNET / f"{config}.json"),
            meta_file=str(ATTUNET / "metadata.json"),
            workflow_type=kind,
            logging_file=False,
            manifest=str(tiny),
            **more,
        )
        workflow.initialize()
        assert not workflow.check_properties()
    assert not list(tmp_path.iterdir()), "initialize writes nothing"


@pytest.mark.parametrize("dims", [3, 2])
def test_committed_evaluation_and_inference_take_weights(
    dims: int, base: Path, tiny: Path, tmp_path: Path
) -> None:
    done = shared_run(base, "labels", dims)
    file = str(done.run / "models" / "model.safetensors")
    settings = {"manifest": str(tiny), "weights": file, "spatial_dims": dims}
    scored = stock(tmp_path, "evaluating", ATTUNET / "evaluate.json", **settings)
    assert scored.code == 0, scored.err
    (table,) = tmp_path.glob("runs/attunet-evaluate/*/scores.csv")
    assert table.read_text() == (done.run / "scores.csv").read_text()
    masks = stock(tmp_path, "inferring", ATTUNET / "inference.json", **settings)
    assert masks.code == 0, masks.err
    assert {p.name for p in (tmp_path / "predictions").glob("*.nii.gz")} == {
        "c4.nii.gz", "c5.nii.gz",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "run_id"), [("evaluate", "evaluating"), ("inference", "inferring")]
)
def test_without_weights_one_line_says_so(
    config: str, run_id: str, tiny: Path, tmp_path: Path
) -> None:
    done = stock(tmp_path, run_id, ATTUNET / f"{config}.json", manifest=str(tiny))
    assert done.code == 2
    assert done.line == (
        f"error: {config}.json has no weights; give --weights RUN/models/model.safetensors"
    )


def test_weights_of_another_bundle_are_refused_not_skipped(
    trained: Outcome, tiny: Path, tmp_path: Path
) -> None:
    config = ROOT / "bundles" / "unet" / "evaluate.json"
    file = tmp_path / "bare.pt"
    torch.save(torch.load(trained.run / "models" / "model.pt"), file)
    done = stock(
        tmp_path, "evaluating", config, manifest=str(tiny), weights=str(file), patch=[24, 24, 16]
    )
    assert done.code == 2
    assert "bare.pt" in done.line
    assert "another network" in done.line


def test_keys_are_overridden_at_the_top_and_inside_components(tiny: Path, tmp_path: Path) -> None:
    done = train(
        tmp_path,
        tiny,
        **{
            "max_epochs": 1,
            "optimizer#weight_decay": 0.5,
            "train::step::clip": 1.5,
            "train#random_transforms#3#prob": 0.25,
            "lr_scheduler": {
                "_target_": "pipeline.train.WarmCosine",
                "optimizer": "@optimizer",
                "warmup": 0.5,
            },
        },
    )
    assert done.code == 0, done.err
    kept = json.loads((done.run / "configs" / "train.json").read_text())
    assert kept["optimizer"]["weight_decay"] == 0.5
    assert kept["train"]["step"]["clip"] == 1.5
    assert kept["train"]["random_transforms"][3]["prob"] == 0.25
    state = torch.load(done.run / "state" / "last.pt", weights_only=True)
    assert state["parts"]["optimizer"]["param_groups"][0]["weight_decay"] == 0.5


def test_another_loss_and_optimizer_of_monai_and_torch_train(tiny: Path, tmp_path: Path) -> None:
    loss = {"_target_": "DiceCELoss", "to_onehot_y": True, "softmax": True}
    rule = {"_target_": "torch.optim.SGD", "params": "$@network.parameters()", "lr": 0.01}
    done = train(tmp_path, tiny, max_epochs=1, loss=loss, optimizer=rule)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("max_epoch", "max_epochs"),
        ("learning_rat", "learning_rate"),
        ("network_def#width", "widths"),
        ("train#dataloder", "dataloader"),
        ("optimizer#weight_deca", "weight_decay"),
        ("train#random_transforms#3#prb", "prob"),
    ],
)
def test_an_unknown_key_is_one_line_before_anything_is_built(
    key: str, suggestion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was built")

    monkeypatch.setattr("pipeline.bundles.facts", built)
    monkeypatch.setattr("pipeline.networks.build_network", built)
    done = train(tmp_path, tmp_path / "missing.json", **{key: 3})
    assert done.code == 2
    assert f"did you mean {suggestion!r}?" in done.line
    assert not list(tmp_path.glob("runs/attunet"))


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    database(folder)
    line = [sys.executable, "-m", "monai.bundle", "run", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )


@pytest.mark.slow
def test_a_mistyped_key_on_the_real_command_line(tmp_path: Path) -> None:
    done = command(
        tmp_path, "training", "--config_file", str(ATTUNET / "train.json"), "--max_epoch", "3"
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last == "error: unknown setting 'max_epoch'; did you mean 'max_epochs'?"


@pytest.mark.slow
def test_the_real_command_refuses_a_component_in_one_line(tmp_path: Path, tiny: Path) -> None:
    done = command(
        tmp_path, "training", "--config_file", str(ATTUNET / "train.json"), "--manifest",
        str(tiny), "--network_def#name", "attunett",
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert [x for x in done.stderr.splitlines() if x.startswith("error: ")] == [
        done.stderr.strip().splitlines()[-1]
    ]


@pytest.mark.slow
def test_the_real_command_trains_and_ends_with_its_line(tmp_path: Path, tiny: Path) -> None:
    done = command(
        tmp_path, "training", "--config_file", str(ATTUNET / "train.json"), "--manifest",
        str(tiny), "--max_epochs", "1", "--epoch_length", "2", "--patch", "[24,24,16]",
        "--batch_size", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("mean Dice ")
