import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.bundles import claim_folder, datalist, plan, run_folder, trained
from pipeline.bundles import facts as facts_of
from pipeline.bundles.export import write_model
from pipeline.bundles.settings import divisor_of
from pipeline.io import write_nifti
from pipeline.networks import build_network
from tests.refusals import refused

Values = dict[str, Any]
Err = pytest.CaptureFixture[str]


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    cases = []
    for n, split in enumerate(("train", "test")):
        label = np.zeros((8, 8, 8), np.uint8)
        label[2:4] = 1
        write_nifti(tmp_path / f"i{n}.nii.gz", label.astype(np.int16) * 100, np.eye(4))
        write_nifti(tmp_path / f"l{n}.nii.gz", label, np.eye(4))
        cases.append({"image": f"i{n}.nii.gz", "label": f"l{n}.nii.gz", "split": split})
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps({"modality": "CT", "labels": {"slab": 1}, "cases": cases}))
    return path


@pytest.fixture
def model(tmp_path: Path, facts: Values, plan: Values) -> Path:
    """A run's folder with a model in it."""
    network = build_network("attunet", 2, 1, 3, **plan["network"])
    write_model(tmp_path / "run", network.state_dict(), {"bundle": "attunet"}, facts, plan)
    return tmp_path / "run"


def test_facts_come_from_the_manifest_or_from_what_lies_beside_the_weights(
    manifest: Path, model: Path, facts: Values
) -> None:
    assert facts_of(str(manifest))["classes"] == ["slab"]
    assert facts_of(str(manifest), weights=str(model)) == facts
    assert facts_of("no_such_set", weights=str(model)) == facts


def test_a_missing_file_is_refused_before_anything_is_read(manifest: Path, capsys: Err) -> None:
    (manifest.parent / "l1.nii.gz").unlink()
    with pytest.raises(SystemExit):
        facts_of(str(manifest))
    assert "l1.nii.gz" in refused(capsys)


def test_an_unknown_manifest_is_refused_with_the_nearest(capsys: Err) -> None:
    with pytest.raises(SystemExit):
        facts_of("phantm")
    assert "phantom" in refused(capsys)


def test_the_plan_of_trained_weights_is_the_one_that_they_came_from(
    model: Path, facts: Values, plan: Values
) -> None:
    from pipeline.bundles import plan as planned

    assert planned({}, "attunet", weights=str(model)) == plan
    window = planned({}, "attunet", weights=str(model), patch=[32, 48])
    assert window == {**plan, "patch": [32, 48]}


def test_a_prediction_window_of_another_dimension_is_refused(model: Path, capsys: Err) -> None:
    with pytest.raises(SystemExit):
        plan({}, "attunet", weights=str(model), patch=[32, 32, 32])
    assert "give 2 numbers" in refused(capsys)


def test_the_plan_fits_the_networks_divisor_and_names_its_options(facts: Values) -> None:
    found = plan(facts, "attunet", preset="compact", spatial_dims=3)
    assert all(n % 8 == 0 for n in found["patch"])
    assert found["network"]["norm"] == found["norm"] == "batch"
    assert len(found["network"]["widths"]) == 4
    large = {**facts, "shape": [90, 90, 60]}
    full = plan(large, "attunet", preset="full", spatial_dims=3)
    assert all(n % 16 == 0 for n in full["patch"])
    assert full["network"]["widths"] == [64, 128, 256, 512, 1024]
    json.dumps(found)


@pytest.mark.parametrize("name", ["attunet", "nnunet", "unet_bilinear", "dynunet"])
def test_a_thick_set_gives_strides_and_kernels_to_a_network_that_takes_them(
    name: str, facts: Values
) -> None:
    thick = {**facts, "shape": [64, 64, 20], "spacing": [1.0, 1.0, 6.0]}
    found = plan(thick, name)
    options = found["network"]
    assert options["strides"][0] == [2, 2, 1]
    assert options["kernels"][0] == [3, 3, 1]
    assert options["kernels"][-1] == [3, 3, 3]
    with torch.device("meta"):
        network = build_network(name, 3, 1, 3, **options)
        heads = network.eval()(torch.zeros(1, 1, *found["patch"]))
    assert list(heads.shape[2:]) == found["patch"]


def test_a_network_without_strides_gets_none_for_a_thick_set(facts: Values) -> None:
    thick = {**facts, "shape": [64, 64, 20], "spacing": [1.0, 1.0, 6.0]}
    found = plan(thick, "vnet")
    assert not {"strides", "kernels"} & set(found["network"])
    assert found["strides"] is None
    assert "halves all axes alike" in found["why"]["strides"]


def test_an_infinite_memory_stands_for_a_machine_that_forces_nothing(facts: Values) -> None:
    huge = {**facts, "shape": [512, 512, 400]}
    small, large = (plan(huge, "attunet", preset="full", memory=m) for m in (2.0, float("inf")))
    assert np.prod(small["patch"]) < np.prod(large["patch"])
    assert "memory" not in "".join(large["why"].values())
    assert "memory of 2.0 GiB" in small["why"]["patch"]


def test_no_norm_reaches_the_network_as_none(facts: Values) -> None:
    assert plan(facts, "unet", norm="none")["network"]["norm"] is None


def test_a_network_without_a_choice_of_norm_is_given_none(facts: Values) -> None:
    options = plan(facts, "vnet")["network"]
    assert "norm" not in options
    build_network("vnet", 3, 1, 3, **options)


def test_a_refused_plan_is_one_line(facts: Values, capsys: Err) -> None:
    with pytest.raises(SystemExit):
        plan(facts, "attunet", patch=[20, 16, 16])
    assert "does not divide" in refused(capsys)


@pytest.mark.parametrize(
    ("dims", "widths", "divisor"), [(2, (4, 8, 16), 4), (3, (4, 8, 16, 32), 8)]
)
def test_the_divisor_is_the_networks(dims: int, widths: tuple[int, ...], divisor: int) -> None:
    assert divisor_of("unet", dims, {"widths": widths}) == divisor


def test_a_data_list_names_cases_and_their_files(manifest: Path) -> None:
    (row,) = datalist(str(manifest), "test")
    assert row["case"] == "i1"
    assert row["image"] == [str(manifest.parent / "i1.nii.gz")]
    assert row["label"] == str(manifest.parent / "l1.nii.gz")
    assert datalist(str(manifest), "val") == []


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_of_one_second_get_folders_of_their_own(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda form: "2026-01-02-030405")
    names = []
    for _ in range(3):
        folder = Path(run_folder("unet"))
        folder.mkdir(parents=True)
        assert folder.parent == here / "runs" / "unet"
        names.append(folder.name)
    assert names == ["2026-01-02-030405", "2026-01-02-030405-2", "2026-01-02-030405-3"]


def test_last_is_the_newest_run_with_a_state(here: Path, capsys: Err) -> None:
    with pytest.raises(SystemExit):
        run_folder("unet", "last")
    assert "no run of unet to resume" in refused(capsys)
    for name, when in (("a", 200), ("b", 100), ("c", None)):
        (here / "runs" / "unet" / name / "state").mkdir(parents=True)
        if when:
            state = here / "runs" / "unet" / name / "state" / "last.pt"
            state.touch()
            os.utime(state, (when, when))
    assert run_folder("unet", "last") == str(here / "runs" / "unet" / "a")
    assert run_folder("unet", "runs/unet/b") == str(here / "runs" / "unet" / "b")
    with pytest.raises(SystemExit):
        run_folder("unet", "runs/unet/c")
    assert "holds no state/last.pt" in refused(capsys)


def test_a_folder_that_holds_something_is_never_written_over(here: Path, capsys: Err) -> None:
    (here / "run").mkdir()
    assert claim_folder("run", resume=False) == Path("run")
    (here / "run" / "log.txt").touch()
    with pytest.raises(SystemExit):
        claim_folder("run", resume=False)
    assert "--resume run" in refused(capsys)
    claim_folder("run", resume=True)


def test_a_folder_that_cannot_be_made_is_refused(here: Path, capsys: Err) -> None:
    (here / "file").touch()
    for name in ("file", "file/below"):
        with pytest.raises(SystemExit):
            claim_folder(name, resume=False)
        assert f"{name} can't be made" in refused(capsys)


def test_a_full_disk_is_refused(here: Path, capsys: Err, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(SystemExit):
        claim_folder("run", resume=False)
    assert "less than 64 MiB" in refused(capsys)


def test_trained_weights_are_loaded_strictly_and_by_their_hash(
    model: Path, plan: Values, capsys: Err
) -> None:
    network = trained(build_network("attunet", 2, 1, 3, **plan["network"]), str(model))
    assert not network.training
    with pytest.raises(SystemExit):
        trained(build_network("attunet", 2, 1, 4, **plan["network"]), str(model))
    assert "number of classes" in refused(capsys)
    weights = model / "models" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(SystemExit):
        trained(build_network("attunet", 2, 1, 3, **plan["network"]), str(weights))
    assert "is not the one" in refused(capsys)
