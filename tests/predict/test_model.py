"""Opening a model: strictly, and without running anything that a stranger wrote."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import DataError, PipelineError
from pipeline.io import write_nifti
from pipeline.predict import predict
from pipeline.predict.model import open_model
from tests.threshold import write_run

CPU = torch.device("cpu")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def change(run: Path, *keys: str, value: Any) -> None:
    """Set or (None) remove a value of `model.json`."""
    path = run / "models" / "model.json"
    record = json.loads(path.read_text())
    place = record
    for key in keys[:-1]:
        place = place[key]
    if value is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("part", ["", "models", "models/model.safetensors"])
def test_a_run_is_opened_by_its_folder_its_models_or_its_weights(tmp_path: Path, part: str) -> None:
    model = open_model(write_run(tmp_path / "run") / part, CPU)
    assert model.name == "threshold"
    assert not model.network.training
    assert model.classes == {"organ": (1,), "lesion": (4,)}
    assert len(model.digest) == 64


def test_a_hostile_folder_runs_nothing(tmp_path: Path) -> None:
    run, ran = write_run(tmp_path / "run"), tmp_path / "ran"
    evil = f"$__import__('pathlib').Path({str(ran)!r}).touch()"
    (run / "configs").mkdir()
    for name in ("train", "evaluate", "inference", "metadata"):
        config = {"imports": [evil], "initialize": [evil], "run": [evil], "version": evil}
        (run / "configs" / f"{name}.json").write_text(json.dumps(config))
    (run / "configs" / "logging.conf").write_text(evil)
    (run / "models" / "model.pt").write_bytes(pickle.dumps(Bomb(ran)))
    (run / "threshold.py").write_text(f"open({str(ran)!r}, 'w')")
    for key in ("bundle", "run_id"):
        change(run, key, value=evil)
    write_nifti(tmp_path / "scan.nii.gz", np.full((8, 8, 8), 100, np.int16), np.eye(4))
    outcome = predict(run, tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz")
    assert outcome.masks == [tmp_path / "mask.nii.gz"]
    assert not ran.exists()


def test_expressions_in_the_record_are_values(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    change(run, "network", "options", value={"evil": f"$open({str(tmp_path / 'ran')!r}, 'w')"})
    with pytest.raises(PipelineError, match="evil"):
        open_model(run, CPU)
    assert not (tmp_path / "ran").exists()


def test_a_record_that_names_a_pickle_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "models" / "evil.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    change(run, "weights", "file", value="evil.pt")
    with pytest.raises(DataError, match="names the weights"):
        open_model(run, CPU)
    assert not (tmp_path / "ran").exists()


def test_a_bundle_of_another_origin_asks_for_trust(tmp_path: Path) -> None:
    (tmp_path / "zoo" / "configs").mkdir(parents=True)
    with pytest.raises(DataError, match="another origin") as caught:
        open_model(tmp_path / "zoo", CPU)
    assert "--trust" in caught.value.hint


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no bundle at"):
        open_model(tmp_path / "none", CPU)


def test_weights_that_do_not_fit_the_record_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    change(run, "network", "out_channels", value=5)
    with pytest.raises(DataError, match=r"head\.weight is \[3, 1, 1, 1, 1\]"):
        open_model(run, CPU)


def test_weights_that_were_exchanged_are_refused(tmp_path: Path) -> None:
    run, other = write_run(tmp_path / "run"), write_run(tmp_path / "other")
    change(run, "weights", "sha256", value="0" * 64)
    with pytest.raises(DataError, match="is not the one"):
        open_model(run, CPU)
    (other / "models" / "model.safetensors").unlink()
    with pytest.raises(DataError, match="no weights"):
        open_model(other, CPU)


@pytest.mark.parametrize(
    "keys",
    [
        ("network", "name"),
        ("network", "options"),
        ("plan", "patch"),
        ("facts", "classes"),
        ("facts", "head"),
    ],
)
def test_a_record_that_lacks_a_value_is_refused_with_its_name(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    run = write_run(tmp_path / "run")
    change(run, *keys, value=None)
    with pytest.raises(DataError, match=keys[-1]):
        open_model(run, CPU)


def test_a_network_that_this_version_does_not_know_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    change(run, "network", "name", value="unet9000")
    with pytest.raises(PipelineError, match="unet9000"):
        open_model(run, CPU)
