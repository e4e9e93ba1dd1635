"""Every bundle trains for two steps in 2D and 3D through the stock command, and predicts."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.bundlegen.write import sources
from pipeline.io import Volume, read_image
from pipeline.predict import predict
from pipeline.predict.options import SegmentOptions
from pipeline.predict.run import Options
from tests.tiny import ROOT, Outcome, stock, write_set


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family-set")
    return write_set(folder, parts=("train", "train", "val", "test"))


# minutes each on one core; `make test-all` runs them
HEAVY = {("swin_unetr", 3), ("unet3plus", 3), ("unetr", 3), ("unet_valid", 3)}
MEMBERS = [
    pytest.param(name, dims, marks=[pytest.mark.heavy] if (name, dims) in HEAVY else [])
    for name in sources()
    for dims in (2, 3)
]
NARROW: dict[str, Any] = {"network_def::widths": [2, 4, 6, 8, 10]}
TWO_STEPS: dict[str, Any] = {"max_epochs": 1, "epoch_length": 2, "batch_size": 2, "amp": False}


def two_steps(folder: Path, name: str, manifest: Path, **settings: Any) -> Outcome:
    config = ROOT / "bundles" / name / "train.json"
    outcome = stock(folder, "training", config, manifest=str(manifest), **TWO_STEPS, **settings)
    assert outcome.code == 0, outcome.err
    return outcome


def predict_the_test_case(outcome: Outcome, manifest: Path, folder: Path) -> Volume:
    scan = manifest.parent / "images" / "c3.nii.gz"
    # as the stock command does it, and without a race of engines for each network
    how = SegmentOptions(engine="torch", precision="fp32", body_box="off")
    (mask,) = predict(outcome.run, scan, folder / "masks", Options(how=how)).masks
    predicted = read_image(mask)
    assert predicted.shape == read_image(scan).shape
    return predicted


def assert_the_stock_command_predicts_the_same(
    outcome: Outcome, manifest: Path, folder: Path, predicted: Volume
) -> None:
    inference = outcome.run / "configs" / "inference.json"
    scan, out = manifest.parent / "images" / "c3.nii.gz", folder / "stock"
    again = stock(folder, "inferring", inference, input=str(scan), output_dir=str(out))
    assert again.code == 0, again.err
    alike = read_image(out / "c3.nii.gz").array == predicted.array
    assert alike.mean() > 0.999, "but for ties of rounding"


@pytest.mark.parametrize(("name", "dims"), MEMBERS)
def test_a_bundle_trains_and_its_run_predicts_from_model_json_alone(
    name: str, dims: int, manifest: Path, tmp_path: Path
) -> None:
    # the first U-Net gives 20 voxels of a row, and sees ten times as many
    settings = {**NARROW, "patch": [204] * dims} if name == "unet_valid" else {}
    outcome = two_steps(tmp_path, name, manifest, spatial_dims=dims, **settings)
    assert json.loads((outcome.run / "models" / "model.json").read_text())["bundle"] == name
    assert (outcome.run / "scores.csv").is_file()
    predict_the_test_case(outcome, manifest, tmp_path)


@pytest.mark.parametrize("dims", [2, pytest.param(3, marks=pytest.mark.heavy)])
def test_the_3d_unet_trains_unpadded_as_published(
    dims: int, manifest: Path, tmp_path: Path
) -> None:
    patch = [100] * dims  # 12 voxels of logits
    outcome = two_steps(tmp_path, "unet3d", manifest, spatial_dims=dims, padded=False, patch=patch)
    record = json.loads((outcome.run / "models" / "model.json").read_text())
    assert record["network"]["options"]["padded"] is False
    assert record["plan"]["patch"] == patch
    meta = json.loads((outcome.run / "configs" / "metadata.json").read_text())
    formats = meta["network_data_format"]
    assert formats["outputs"]["pred"]["spatial_shape"] == [12] * dims
    predicted = predict_the_test_case(outcome, manifest, tmp_path)
    assert_the_stock_command_predicts_the_same(outcome, manifest, tmp_path, predicted)


def test_a_2d_network_trains_and_predicts_with_the_slices_beside_its_own(
    manifest: Path, tmp_path: Path
) -> None:
    outcome = two_steps(tmp_path, "attunet", manifest, spatial_dims=2, slices=3)
    record = json.loads((outcome.run / "models" / "model.json").read_text())
    assert record["network"]["in_channels"] == 3
    assert record["plan"]["slices"] == 3
    meta = json.loads((outcome.run / "configs" / "metadata.json").read_text())
    inputs = meta["network_data_format"]["inputs"]["image"]
    assert inputs["channel_def"] == {"0": "CT, slice -1", "1": "CT", "2": "CT, slice +1"}
    predicted = predict_the_test_case(outcome, manifest, tmp_path)
    assert_the_stock_command_predicts_the_same(outcome, manifest, tmp_path, predicted)


@pytest.mark.parametrize("dims", [2, 3])
def test_unet3plus_trains_with_its_classification_guided_module(
    dims: int, manifest: Path, tmp_path: Path
) -> None:
    outcome = two_steps(
        tmp_path,
        "unet3plus",
        manifest,
        spatial_dims=dims,
        patch=[32] + [16] * (dims - 1),
        deep_supervision=True,
        cgm=True,
        **NARROW,
    )
    record = json.loads((outcome.run / "models" / "model.json").read_text())
    options = record["network"]["options"]
    assert (options["deep_supervision"], options["cgm"]) == (True, True)
    assert options["activation"] == "softmax"
    predict_the_test_case(outcome, manifest, tmp_path)


def test_a_guided_network_without_heads_is_refused_in_one_line(
    manifest: Path, tmp_path: Path
) -> None:
    config = ROOT / "bundles" / "unet3plus" / "train.json"
    outcome = stock(tmp_path, "training", config, manifest=str(manifest), cgm=True)
    assert outcome.code == 2
    assert "cgm is set without heads; set deep_supervision, too" in outcome.line
