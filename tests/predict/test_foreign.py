"""Bundles of another origin, laid out as the model zoo's."""

import json
import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from pipeline.errors import DataError, InvalidValueError
from pipeline.io import Reading, write_nifti
from pipeline.predict import Options, SegmentOptions
from pipeline.predict.foreign import predict_foreign
from tests.threshold import write_run

AFFINE = np.diag([-2.0, 1.0, 1.0, 1.0])


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle puts its own folder on the path; take it off again."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """One convolution that takes values above 50 for foreground."""
    folder = tmp_path / "zoo"
    config = {
        "network_def": {
            "_target_": "torch.nn.Conv3d",
            "in_channels": 1,
            "out_channels": 2,
            "kernel_size": 1,
        },
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "reader": "NibabelReader"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": None},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [4, 4, 4]},
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "models").mkdir()
    state = {"weight": torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1)}
    torch.save(state | {"bias": torch.tensor([0.0, -50.0])}, folder / "models" / "model.pt")
    return folder


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    values = np.zeros((5, 6, 7), np.int16)
    values[:2, 1:4] = 100
    write_nifti(tmp_path / "scan.nii.gz", values, AFFINE)
    return tmp_path / "scan.nii.gz"


# MONAI's LoadImage sets up all of its own readers first, and one of them warns of a GPU decoder
@pytest.mark.filterwarnings("ignore:NvImgCodec")
def test_a_zoo_bundles_mask_returns_on_the_scans_grid(
    zoo: Path, scan: Path, tmp_path: Path
) -> None:
    outcome = predict_foreign(zoo, scan, tmp_path / "out")
    assert outcome.masks == [tmp_path / "out" / "scan.nii.gz"]
    file = nibabel.load(outcome.masks[0])
    assert isinstance(file, nibabel.Nifti1Image)
    wanted = np.zeros((5, 6, 7), np.uint8)
    wanted[:2, 1:4] = 1
    assert np.array_equal(np.asanyarray(file.dataobj), wanted)
    assert file.affine == pytest.approx(AFFINE)
    assert json.loads((tmp_path / "out" / "scan.json").read_text())["trusted"] is True


def test_its_weights_are_loaded_strictly_too(zoo: Path, scan: Path, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3, 1, 1, 1, 1)}, zoo / "models" / "model.pt")
    with pytest.raises(DataError, match=r"model\.pt"):
        predict_foreign(zoo, scan, tmp_path / "out")


def test_a_missing_part_is_named(zoo: Path, scan: Path, tmp_path: Path) -> None:
    path = zoo / "configs" / "inference.json"
    config = json.loads(path.read_text())
    del config["inferer"]
    path.write_text(json.dumps(config))
    with pytest.raises(DataError, match="has no inferer"):
        predict_foreign(zoo, scan, tmp_path / "out")
    path.unlink()
    with pytest.raises(DataError, match=r"has no configs/inference\.json"):
        predict_foreign(zoo, scan, tmp_path / "out")


def test_several_foreign_bundles_are_no_ensemble(zoo: Path, scan: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="an ensemble of foreign bundles"):
        predict_foreign([zoo, zoo], scan, tmp_path / "out")


@pytest.mark.parametrize(
    "options",
    [
        Options(how=SegmentOptions(overlap=0.25)),
        Options(reading=Reading(series=2)),
        Options(postprocess={"*": {"largest": True}}),
        Options(jobs=2),
        Options(cluster="ray"),
    ],
)
def test_an_option_that_its_own_configs_decide_on_is_refused(
    zoo: Path, scan: Path, tmp_path: Path, options: Options
) -> None:
    with pytest.raises(InvalidValueError, match="foreign bundle"):
        predict_foreign(zoo, scan, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:NvImgCodec")
def test_a_bundle_that_takes_the_sigmoid_gives_regions(
    zoo: Path, scan: Path, tmp_path: Path
) -> None:
    path = zoo / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["postprocessing"] = {
        "_target_": "Compose",
        "transforms": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}],
    }
    path.write_text(json.dumps(config))
    state = {"weight": torch.tensor([1.0, 1.0]).reshape(2, 1, 1, 1, 1)}
    torch.save(state | {"bias": torch.tensor([-20.0, -120.0])}, zoo / "models" / "model.pt")
    (mask,) = predict_foreign(zoo, scan, tmp_path / "out").masks
    found = np.asanyarray(nibabel.load(mask).dataobj)  # type: ignore[attr-defined]
    assert found.shape == (5, 6, 7, 2)
    assert found[:2, 1:4, :, 0].all()
    assert found.sum() == 2 * 3 * 7, "nothing is above 120"


@pytest.mark.filterwarnings("ignore:NvImgCodec")
def test_a_cohort_goes_on_after_a_bad_case_and_where_it_stopped(
    zoo: Path, scan: Path, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "a.nii.gz").write_bytes(b"no scan")
    shutil.copyfile(scan, scans / "b.nii.gz")
    outcome = predict_foreign(zoo, scans, tmp_path / "out")
    assert [mask.name for mask in outcome.masks] == ["b.nii.gz"]
    ((case, reason),) = outcome.failed
    assert case == "a"
    assert "\n" not in reason
    text = (tmp_path / "out" / "ledger.jsonl").read_text()
    assert [json.loads(line)["state"] for line in text.splitlines()] == ["failed", "done"]
    assert predict_foreign(zoo, scans, tmp_path / "out").kept == 1


def test_our_own_run_needs_no_trust_and_keeps_its_integers(
    threshold: None, scan: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run")
    (mask,) = predict_foreign(run, scan, tmp_path / "out").masks
    assert json.loads((tmp_path / "out" / "scan.json").read_text())["labels"]["lesion"] == 4
    assert np.asanyarray(nibabel.load(mask).dataobj).max() == 1  # type: ignore[attr-defined]
