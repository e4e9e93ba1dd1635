"""Every bundle trains for two steps in 2D and 3D through the stock command, and predicts."""

import json
from pathlib import Path

import pytest

from pipeline.bundlegen.write import sources
from pipeline.io import read_image
from pipeline.predict import predict
from tests.tiny import ROOT, stock, write_set


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family-set")
    return write_set(folder, parts=("train", "train", "val", "test"))


# minutes each on one core; `make test-all` runs them
HEAVY = {("swin_unetr", 3), ("unet3plus", 3), ("unetr", 3)}
MEMBERS = [
    pytest.param(name, dims, marks=[pytest.mark.heavy] if (name, dims) in HEAVY else [])
    for name in sources()
    for dims in (2, 3)
]


@pytest.mark.parametrize(("name", "dims"), MEMBERS)
def test_a_bundle_trains_and_its_run_predicts_from_model_json_alone(
    name: str, dims: int, manifest: Path, tmp_path: Path
) -> None:
    config = ROOT / "bundles" / name / "train.json"
    settings = {"max_epochs": 1, "epoch_length": 2, "batch_size": 2, "spatial_dims": dims}
    outcome = stock(tmp_path, "training", config, manifest=str(manifest), amp=False, **settings)
    assert outcome.code == 0, outcome.err
    assert json.loads((outcome.run / "models" / "model.json").read_text())["bundle"] == name
    assert (outcome.run / "scores.csv").is_file()
    scan = manifest.parent / "images" / "c3.nii.gz"
    (mask,) = predict(outcome.run, scan, tmp_path / "masks").masks
    assert read_image(mask).shape == read_image(scan).shape
