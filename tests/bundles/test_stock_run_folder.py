"""A run's folder is a standard MONAI bundle, and is one wherever it is moved to."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.bundles.weights import sha256
from pipeline.io import read_image
from tests.tiny import (
    Outcome,
    base,
    kept_state,
    moved,
    shared_run,
    shared_set,
    stock,
    tiny,
    trained,
    write_set,
)

__all__ = ["base", "tiny", "trained"]
SCHEMA = Path(__file__).parents[1] / "data" / "meta_schema_20240725.json"
CONFIGS = {"train.json", "evaluate.json", "inference.json", "metadata.json", "logging.conf"}
VARIANTS = [
    ("labels", 3, False),
    ("labels", 2, False),
    ("labels", 2, True),
    ("regions", 3, False),
    ("single", 3, False),
    ("single", 2, True),
]
NAMES = {"labels": ["organ", "lesion"], "regions": ["whole", "core"], "single": ["organ"]}


@pytest.fixture(params=VARIANTS, ids=["3d", "slices", "pictures", "regions", "one", "one-2d"])
def variant(request: pytest.FixtureRequest, base: Path) -> tuple[str, Outcome]:
    """A finished training: its kind of classes and its outcome."""
    kind, dims, pictures = request.param
    return kind, shared_run(base, kind, dims, pictures)


@pytest.fixture
def away(variant: tuple[str, Outcome], tmp_path: Path) -> Path:
    """The run's folder on another machine: the manifest that it names is not there."""
    folder = moved(variant[1].run, tmp_path / "away")
    for name in ("train", "evaluate", "inference"):
        path = folder / "configs" / f"{name}.json"
        path.write_text(path.read_text().replace(str(variant[1].folder.parent), "/nowhere"))
    return folder


def test_a_training_ends_with_scores_of_the_test_cases(variant: tuple[str, Outcome]) -> None:
    kind, done = variant
    assert done.code == 0, done.err
    with (done.run / "scores.csv").open() as stream:
        rows = list(csv.reader(stream))
    scored = {(row[0], row[1]) for row in rows if row and row[0] in ("c4", "c5")}
    assert scored == {(case, name) for case in ("c4", "c5") for name in NAMES[kind]}
    assert not any(row and row[0] in ("c0", "c1", "c2", "c3") for row in rows)


def test_the_folder_is_complete(variant: tuple[str, Outcome]) -> None:
    run = variant[1].run
    assert {path.name for path in (run / "configs").iterdir()} == CONFIGS
    assert {path.name for path in (run / "models").iterdir()} == {
        "model.pt", "model.safetensors", "model.json", "calibration.safetensors",
    }  # fmt: skip
    assert [path.name for path in (run / "state").iterdir()] == ["last.pt"]
    assert {"test-c4.png", "test-c5.png", "val-c3.png"} <= {
        path.name for path in (run / "pictures").iterdir()
    }
    assert (run / "log.txt").read_text()
    assert not list(run.rglob(".*"))


def test_both_weight_files_hold_the_same_and_the_record_has_their_hash(
    variant: tuple[str, Outcome],
) -> None:
    models = variant[1].run / "models"
    one, other = load_file(models / "model.safetensors"), torch.load(models / "model.pt")
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    record = json.loads((models / "model.json").read_text())
    assert record["weights"]["sha256"] == sha256(models / "model.safetensors")
    assert record["facts"]["classes"] == NAMES[variant[0]]
    assert record["ended_by"] == "max_epochs"


def test_the_configs_hold_resolved_values_and_no_folder_of_the_training(
    variant: tuple[str, Outcome],
) -> None:
    configs = variant[1].run / "configs"
    train = json.loads((configs / "train.json").read_text())
    for name in ("normalisation", "patch", "learning_rate", "norm", "val_interval", "augment"):
        assert train[name] is not None, name
    assert train["facts"]["classes"] == NAMES[variant[0]]
    for name in ("evaluate", "inference"):
        frozen = json.loads((configs / f"{name}.json").read_text())
        assert frozen["plan"]["patch"] == train["patch"]
        assert frozen["facts"] == train["facts"]


def test_metadata_is_valid_and_names_channels_and_classes(away: Path) -> None:
    path = away / "configs" / "metadata.json"
    verified(path)
    formats = json.loads(path.read_text())["network_data_format"]
    record = json.loads((away / "models" / "model.json").read_text())
    assert formats["outputs"]["pred"]["num_channels"] == record["network"]["out_channels"]
    names = formats["outputs"]["pred"]["channel_def"].values()
    assert set(record["facts"]["classes"]) <= set(names)


def verified(meta: Path) -> None:
    """`verify_metadata`, offline; without a hash MONAI warns, with one it checks the copy."""
    digest = hashlib.md5(SCHEMA.read_bytes()).hexdigest()
    monai.bundle.verify_metadata(str(meta), str(SCHEMA), hash_val=digest, hash_type="md5")


def test_the_network_fits_its_metadata(away: Path) -> None:
    configs = away / "configs"
    for name in ("train", "inference", "evaluate"):
        monai.bundle.verify_net_in_out(
            "network_def",
            meta_file=str(configs / "metadata.json"),
            config_file=str(configs / f"{name}.json"),
            device="cpu",
            n=2,
        )


def test_stock_load_returns_the_network_with_its_weights(away: Path) -> None:
    with kept_state():
        network = monai.bundle.load(away.name, bundle_dir=str(away.parent), source="monaihosting")
    assert isinstance(network, torch.nn.Module)
    expected = load_file(away / "models" / "model.safetensors")
    state = network.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, state[name]) for name, value in expected.items())


def test_stock_inference_writes_masks_on_the_scans_grid(
    away: Path, variant: tuple[str, Outcome], base: Path, tmp_path: Path
) -> None:
    kind, done = variant
    pictures = (done.run / "pictures").exists() and "True" in done.folder.name
    data = base / f"set-{kind}-{pictures}"
    suffix = ".png" if pictures else ".nii.gz"
    source = data / "images" / f"c4{suffix}"
    result = stock(
        tmp_path / "work", "inferring", away / "configs" / "inference.json", input=str(source)
    )
    assert result.code == 0, result.err
    mask = read_image(tmp_path / "work" / "predictions" / f"c4{suffix}")
    image = read_image(source)
    assert mask.array.shape[: image.array.ndim] == image.array.shape
    if image.affine is not None and mask.affine is not None:
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)
    allowed = {"labels": {0, 1, 4}, "regions": {0, 1}, "single": {0, 1, 255}}[kind]
    assert set(np.unique(mask.array)) <= allowed
    record = json.loads((tmp_path / "work" / "predictions" / "c4.json").read_text())
    assert record


def test_stock_evaluate_scores_given_data(
    away: Path, variant: tuple[str, Outcome], base: Path, tmp_path: Path
) -> None:
    kind, done = variant
    manifest = shared_set(base, kind, "True" in done.folder.name)
    output = tmp_path / "scores"
    result = stock(
        tmp_path / "work",
        "evaluating",
        away / "configs" / "evaluate.json",
        manifest=str(manifest),
        output_dir=str(output),
    )
    assert result.code == 0, result.err
    assert (output / "scores.csv").read_text() == (done.run / "scores.csv").read_text()
    assert f"scores: {output / 'scores.csv'}" in result.out


@pytest.mark.parametrize(
    ("config", "run_id"),
    [("train", "run"), ("train", "training"), ("evaluate", "run"), ("inference", "run")],
)
def test_run_is_another_name_of_each(
    config: str, run_id: str, trained: Outcome, tiny: Path, tmp_path: Path
) -> None:
    folder = moved(trained.run, tmp_path / "run")
    more: dict[str, Any] = {"max_epochs": 1} if config == "train" else {}
    path = folder / "configs" / f"{config}.json"
    result = stock(tmp_path / "work", run_id, path, manifest=str(tiny), **more)
    assert result.code == 0, result.err


def test_weights_that_are_not_those_of_the_record_are_refused(
    trained: Outcome, tiny: Path, tmp_path: Path
) -> None:
    folder = moved(trained.run, tmp_path / "run")
    file = folder / "models" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    path = folder / "configs" / "inference.json"
    result = stock(tmp_path / "work", "inferring", path, manifest=str(tiny))
    assert result.code == 2
    assert "is not the one that model.json describes" in result.line


def test_a_damaged_case_ends_an_evaluation_in_one_line(trained: Outcome, tmp_path: Path) -> None:
    folder = moved(trained.run, tmp_path / "run")
    path = folder / "configs" / "evaluate.json"
    manifest = write_set(tmp_path / "set", parts=("train", "test"))
    (tmp_path / "set" / "labels" / "c1.nii.gz").write_bytes(b"garbage")
    result = stock(tmp_path / "work", "evaluating", path, manifest=str(manifest))
    assert result.code == 2
    assert "c1.nii.gz" in result.line
