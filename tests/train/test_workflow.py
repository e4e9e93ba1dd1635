"""A whole training through the stock command: what it reports, refuses, keeps and goes on with."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from safetensors.torch import load_file

from pipeline.io import read_image, write_nifti
from pipeline.metrics.running import MeanDice
from pipeline.tracking.query import RunRecord
from pipeline.tracking.store import open_client
from pipeline.train.state import load_state
from pipeline.train.step import Choice
from pipeline.train.workflow import Training
from tests.tiny import (
    ATTUNET,
    ROOT,
    Outcome,
    database,
    shared_set,
    stock,
    tracked,
    train,
    write_set,
)

State = dict[str, torch.Tensor]


def weights(run: Path) -> State:
    return load_file(run / "models" / "model.safetensors")


def equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def losses(folder: Path, run: RunRecord) -> list[tuple[int, float]]:
    client = open_client(f"sqlite:///{folder}/runs/mlflow.db")
    return [(m.step, m.value) for m in client.get_metric_history(run.id, "train/loss")]


@contextmanager
def during(event: Any, action: Callable[[Training], Any]) -> Iterator[None]:
    """Do something in every trainer at an event."""
    plain = Training.run

    def run(self: Training) -> None:
        self.trainer.add_event_handler(event, lambda engine: action(self))
        plain(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "run", run)
        yield


def in_update(number: int) -> Callable[[Training], None]:
    """Press Ctrl-C in that update."""

    def press(training: Training) -> None:
        if training.trainer.state.iteration == number:
            raise KeyboardInterrupt

    return press


# What a finished run is


def test_the_last_line_names_scores_time_and_what_ended_the_run(trained: Outcome) -> None:
    last = trained.out.strip().splitlines()[-1]
    assert last.startswith("mean Dice 0.")
    assert " on 2 test cases (organ " in last
    assert "ended by max_epochs" in last
    assert str(trained.run / "scores.csv") in last


def test_the_run_is_tracked_with_settings_scores_and_artifacts(trained: Outcome) -> None:
    (run,) = tracked(trained.folder)
    assert (run.status, run.name, run.experiment) == ("FINISHED", trained.run.name, "attunet")
    assert run.params["max_epochs"] == "2"
    assert run.params["batch_size"] == "2"
    assert run.params["learning_rate"] != "None"
    assert len(run.tags["manifest_hash"]) == 64
    assert {"version.torch", "version.monai"} <= run.tags.keys()
    assert ("commit" in run.tags) is (ROOT / ".git").exists()
    for name in ("val/dice_mean", "test/dice_mean", "test/dice_organ", "lr", "time/epoch_s"):
        assert name in run.metrics, sorted(run.metrics)
    assert [step for step, _ in losses(trained.folder, run)] == [1, 2, 3, 4]
    client = open_client(f"sqlite:///{trained.folder}/runs/mlflow.db")
    files = [client.list_artifacts(run.id, part) for part in (None, "configs", "pictures")]
    found = {entry.path for part in files for entry in part}
    assert {"scores.csv", "configs/train.json", "pictures/val-c3.png"} <= found


def test_the_log_is_kept(trained: Outcome) -> None:
    log = (trained.run / "log.txt").read_text()
    assert "epoch 1: loss" in log
    assert "epoch 2: loss" in log
    assert "speed measured" in log


# Determinism


def test_one_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others(
    trained: Outcome, tiny: Path, tmp_path: Path
) -> None:
    first = weights(trained.run)
    assert equal(first, weights(train(tmp_path / "same", tiny).run))
    assert not equal(first, weights(train(tmp_path / "other", tiny, seed=1).run))


# Interruption and resume


def test_a_resumed_run_is_the_uninterrupted_one(tiny: Path, tmp_path: Path) -> None:
    settings = {"max_epochs": 4, "val_interval": 1}
    whole = train(tmp_path / "whole", tiny, **settings)
    with during(Events.ITERATION_COMPLETED, in_update(5)):
        cut = train(tmp_path / "cut", tiny, **settings)
    assert cut.code == 130
    assert "go on with --resume" in cut.err
    (killed,) = tracked(cut.folder)
    assert killed.status == "KILLED"
    assert load_state(cut.run)["epoch"] == 2
    resumed = train(tmp_path / "cut", tiny, resume="last", **settings)
    assert resumed.code == 0, resumed.err
    assert equal(weights(whole.run), weights(resumed.run))
    (expected,) = tracked(whole.folder)
    (second,) = (run for run in tracked(cut.folder) if run.id != killed.id)
    assert second.status == "FINISHED"
    assert second.tags["resumed_from"] == killed.id
    before = losses(cut.folder, killed)[:4]
    assert before + losses(cut.folder, second) == losses(whole.folder, expected)
    histories = [load_state(run.run)["parts"]["best"]["history"] for run in (whole, resumed)]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 4


@pytest.mark.slow
def test_sigterm_ends_a_run_killed_with_143_and_its_state_stands(
    tiny: Path, tmp_path: Path
) -> None:
    database(tmp_path)
    command = [sys.executable, "-m", "monai.bundle", "run", "training"]
    command += ["--config_file", str(ATTUNET / "train.json"), "--manifest", str(tiny)]
    command += ["--max_epochs", "100000", "--epoch_length", "2", "--batch_size", "2"]
    command += ["--patch", "[24,24,16]", "--val_interval", "100000"]
    child = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/*/state/last.pt")):
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 143
    assert "Traceback" not in err
    assert "interrupted: the last full state is " in err
    (run,) = tracked(tmp_path)
    assert run.status == "KILLED"
    (folder,) = tmp_path.glob("runs/attunet/*/")
    assert load_state(folder)["epoch"] >= 1


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture
def finished(trained: Outcome, tmp_path: Path) -> Path:
    """A copy of a finished run, to resume."""
    return Path(shutil.copytree(trained.run, tmp_path / "finished"))


def test_a_finished_run_is_not_resumed(finished: Path, tiny: Path, tmp_path: Path) -> None:
    again = train(tmp_path, tiny, resume=str(finished))
    assert again.code == 2
    assert again.line == "error: the run has its 2 epochs; give a larger --max_epochs"


def test_a_run_that_had_its_time_is_not_resumed(finished: Path, tiny: Path, tmp_path: Path) -> None:
    again = train(tmp_path, tiny, resume=str(finished), max_epochs=None, max_minutes=1e-6)
    assert again.line == "error: the run has its 1e-06 minutes; give more --max_minutes"


def test_a_run_that_ended_without_its_scores_is_resumed_for_them_alone(
    finished: Path, tiny: Path, tmp_path: Path
) -> None:
    scores = (finished / "scores.csv").read_bytes()
    shutil.rmtree(finished / "models")
    (finished / "scores.csv").unlink()
    again = train(tmp_path, tiny, resume=str(finished))
    assert again.code == 0, again.err
    assert "epoch 3" not in again.err
    assert ": loss" not in again.err.split("resumed after epoch 2")[1]
    assert (finished / "scores.csv").read_bytes() == scores
    assert "ended by max_epochs" in again.out
    (run,) = tracked(tmp_path)
    assert run.status == "FINISHED"
    assert json.loads((finished / "models" / "model.json").read_text())["run_id"] == run.id


def test_a_finished_run_goes_on_with_more_epochs_from_its_own_config(
    finished: Path, tmp_path: Path
) -> None:
    config = finished / "configs" / "train.json"
    done = stock(tmp_path, "training", config, resume=str(finished), max_epochs=3)
    assert done.code == 0, done.err
    assert load_state(finished)["epoch"] == 3
    assert json.loads(config.read_text())["max_epochs"] == 3


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("patch", [16, 24, 16], "has patch [24, 24, 16], this one [16, 24, 16]"),
        ("seed", 5, "has seed 0, this one 5"),
        ("batch_size", 3, "has batch_size 2, this one 3"),
    ],
)
def test_a_resume_with_another_setting_is_refused_and_leaves_the_run_alone(
    name: str, value: Any, words: str, finished: Path, tiny: Path, tmp_path: Path
) -> None:
    before = {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()}
    again = train(tmp_path, tiny, resume=str(finished), max_epochs=3, **{name: value})
    assert again.code == 2
    assert words in again.line
    assert {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()} == before


def test_nothing_to_resume_is_one_line(tiny: Path, tmp_path: Path) -> None:
    assert "no run of attunet to resume" in train(tmp_path, tiny, resume="last").line
    assert "holds no state/last.pt" in train(tmp_path, tiny, resume=str(tmp_path)).line


# How updates are computed


def training(device: str, **parts: Any) -> Training:
    """A training of nothing on a device."""
    nothing: dict[str, Any] = {f.name: None for f in fields(Training) if f.default is MISSING}
    trainer = SimpleNamespace(state=SimpleNamespace(device=device))
    return Training(**{**nothing, "trainer": trainer, "config": {}, "source": Path(), **parts})


@pytest.mark.parametrize(
    ("device", "amp", "expected"),
    [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)],
)
def test_a_validation_computes_as_the_updates_do_where_monai_can(
    device: str, amp: bool, expected: bool
) -> None:
    used: list[Any] = []
    step = SimpleNamespace(use=lambda *given: used.append(given))
    validator, network = SimpleNamespace(amp=None), torch.nn.Identity()
    choice = Choice(amp=amp)
    training(device, step=step, validator=validator)._compute_as(choice, network)
    assert used == [(choice, network, torch.device(device))]
    assert validator.amp is expected


@pytest.mark.parametrize(
    ("chosen_on", "amp", "kept"),
    [
        ("this", None, True),
        ("this", True, True),
        ("this", False, False),
        ("another", None, False),
        (None, None, True),  # of a version that did not write it
    ],
)
def test_a_resume_computes_as_before_on_the_same_device_alone(
    chosen_on: str | None, amp: bool | None, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.train.workflow.device_name", lambda device: "this")
    before, anew = Choice(amp=True, channels_last=True), Choice(keep_memory=True)
    monkeypatch.setattr(Training, "_measured", lambda self, inner: anew)
    saver = SimpleNamespace(extra={})
    state: dict[str, Any] = {"choice": before.to_dict()}
    state |= {} if chosen_on is None else {"chosen_on": chosen_on}
    found = training("cpu", saver=saver, amp=amp)._choose(torch.nn.Identity(), state)
    assert found == (before if kept else anew)
    assert saver.extra == {"choice": found.to_dict(), "chosen_on": "this"}


# Weights to start from


def test_training_starts_from_given_weights(trained: Outcome, tiny: Path, tmp_path: Path) -> None:
    start: list[State] = []

    def look(training: Training) -> None:
        start.append({k: v.clone() for k, v in training.network.state_dict().items()})

    with during(Events.STARTED, look):
        done = train(tmp_path, tiny, max_epochs=1, weights=str(trained.run))
    assert done.code == 0, done.err
    assert equal(start[0], weights(trained.run))


def test_weights_of_another_number_of_classes_are_refused_but_for_the_head(
    trained: Outcome, base: Path, tmp_path: Path
) -> None:
    single = shared_set(base, "single")
    refused = train(tmp_path / "a", single, weights=str(trained.run))
    assert refused.code == 2
    assert "head" in refused.line
    assert "the network's is" in refused.line
    assert not refused.runs
    done = train(tmp_path / "b", single, max_epochs=1, weights=str(trained.run), new_head=True)
    assert done.code == 0, done.err


def test_a_corrupt_weight_file_is_refused_before_any_training(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "broken.safetensors"
    file.write_bytes(b"\x00" * 50)
    done = train(tmp_path, tiny, weights=str(file))
    assert done.code == 2
    assert f"{file} is damaged" in done.line
    assert not list(tmp_path.glob("runs/attunet/*"))
    assert not tracked(tmp_path)


# What goes wrong during a training


def test_a_loss_that_is_no_number_ends_the_run_failed_and_keeps_the_last_good_state(
    tmp_path: Path, tiny: Path
) -> None:
    def spoil(training: Training) -> None:
        if training.trainer.state.epoch == 2:
            training.trainer.state.batch["image"][:] = float("nan")

    with during(Events.ITERATION_STARTED, spoil):
        done = train(tmp_path, tiny, max_epochs=4)
    assert done.code == 2
    assert "loss is nan in epoch 2, update 3, with the cases c" in done.line
    (run,) = tracked(tmp_path)
    assert run.status == "FAILED"
    state = load_state(done.run)
    assert state["epoch"] == 1
    assert all(torch.isfinite(v).all() for v in state["network"].values())


def test_a_nan_in_an_image_is_found_before_the_training(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", parts=("train", "test"))
    file = tmp_path / "set" / "images" / "c0.nii.gz"
    volume = read_image(file)
    array = volume.array.astype(np.float32)
    array[:2] = np.nan
    write_nifti(file, array, np.diag([1, 1, 1.5, 1]))
    assert "c0: NaN or infinite: 616 voxels" in refused(tmp_path, manifest)


def test_a_full_disk_is_one_line_and_the_state_before_stands(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = torch.save

    def full(content: Any, path: Any) -> None:
        if isinstance(content, dict) and content.get("epoch") == 2:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(content, path)

    monkeypatch.setattr("pipeline.train.state.torch.save", full)
    done = train(tmp_path, tiny)
    assert done.code == 2
    assert "the state of epoch 2 can't be written" in done.line
    assert load_state(done.run)["epoch"] == 1
    assert [p.name for p in (done.run / "state").iterdir()] == ["last.pt"]


def test_an_unusable_tracking_address_is_one_line_and_leaves_no_folder(
    tmp_path: Path, tiny: Path
) -> None:
    done = train(tmp_path, tiny, tracking_uri="file:///x")
    assert done.code == 2
    assert "tracking_uri" in done.line
    assert not list(tmp_path.glob("runs/attunet/*"))


# What chooses and what is reported


def test_the_best_validation_chooses_the_weights(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.2, 0.9, 0.3])
    monkeypatch.setattr(MeanDice, "compute", lambda self: next(scores))
    averages: dict[int, State] = {}

    def keep(training: Training) -> None:
        module = training.average.module.state_dict()
        averages[training.trainer.state.epoch] = {k: v.clone() for k, v in module.items()}

    with during(Events.EPOCH_COMPLETED, keep):
        done = train(tmp_path, tiny, max_epochs=3, val_interval=1)
    assert done.code == 0, done.err
    assert equal(weights(done.run), averages[2])
    assert not equal(weights(done.run), averages[3])
    record = json.loads((done.run / "models" / "model.json").read_text())
    assert record["best"] == {"epoch": 2, "val_mean_dice": 0.9}


def test_without_val_the_last_averaged_weights_are_reported(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", parts=("train", "train", "test"))
    averages: list[State] = []

    def keep(training: Training) -> None:
        module = training.average.module.state_dict()
        averages.append({k: v.clone() for k, v in module.items()})

    with during(Events.EPOCH_COMPLETED, keep):
        done = train(tmp_path, manifest)
    assert done.code == 0, done.err
    assert equal(weights(done.run), averages[-1])
    assert (done.run / "scores.csv").is_file()


def test_without_test_cases_the_last_line_says_so(tmp_path: Path) -> None:
    done = train(tmp_path, write_set(tmp_path / "set", parts=("train", "train", "val")))
    assert done.code == 0, done.err
    assert "no held-out case with a label" in done.out
    assert not (done.run / "scores.csv").exists()


def test_test_cases_are_not_read_before_the_training_has_ended(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", parts=("train", "train", "val", "test"))
    for kind in ("images", "labels"):
        (tmp_path / "set" / kind / "c3.nii.gz").write_bytes(b"garbage")
    done = train(tmp_path, manifest)
    assert done.code == 2
    assert "c3.nii.gz" in done.line
    assert "held out, c3: unreadable" in done.err
    assert load_state(done.run)["epoch"] == 2
    assert (done.run / "models" / "model.safetensors").is_file()
    (run,) = tracked(tmp_path)
    assert run.status == "FAILED"


def test_time_that_is_up_ends_the_training_within_an_epoch(tmp_path: Path, tiny: Path) -> None:
    done = train(tmp_path, tiny, max_epochs=None, max_minutes=0.003, epoch_length=100000)
    assert done.code == 0, done.err
    assert "ended by max_minutes" in done.out
    state = load_state(done.run)
    assert state["epoch"] == 1
    assert 0 < state["iteration"] < 100000
    more = state["parts"]["clock"]["elapsed_s"] / 60 + 0.003
    settings = {"max_epochs": None, "epoch_length": 100000, "resume": "last"}
    again = train(tmp_path, tiny, max_minutes=more, **settings)
    assert again.code == 0, again.err
    assert load_state(done.run)["iteration"] > state["iteration"]


# Bad input: one line, and no folder is left behind


def refused(folder: Path, manifest: Path, **overrides: Any) -> str:
    done = train(folder, manifest, **overrides)
    assert done.code == 2
    assert not list(folder.glob("runs/attunet/*"))
    assert not tracked(folder)
    return done.line


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"patch": [20, 24, 16]}, "patch [20, 24, 16] does not divide"),
        ({"patch": [24, 24]}, "give 3 numbers"),
        ({"window": "abdomne"}, "no CT window 'abdomne'; use abdomen"),
        ({"preset": "ful"}, "no preset 'ful'"),
        ({"network_def#name": "attunett"}, "attunet"),
        ({"norm": "bach"}, "norm is 'bach'"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"fold": 0}, "fold 0 asked for"),
        ({"spatial_dims": "two"}, "spatial_dims is 'two'"),
        ({"max_epochs": 0}, "max_epochs is 0"),
        ({"dataset_dir": "/nowhere"}, "dataset_dir /nowhere"),
        ({"augment": {"gian": 1}}, "gian"),
    ],
)
def test_a_setting_that_can_not_be_is_one_line(
    setting: dict[str, Any], words: str, tmp_path: Path, tiny: Path
) -> None:
    assert words in refused(tmp_path, tiny, **setting)


def test_an_empty_or_missing_manifest_is_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text("")
    assert "empty.json" in refused(tmp_path / "a", empty)
    empty.write_text('{"modality": "CT", "labels": {"organ": 1}, "cases": []}')
    assert "empty.json" in refused(tmp_path / "b", empty)
    assert "no manifest at" in refused(tmp_path / "c", tmp_path / "missing.json")


@pytest.mark.parametrize(("kind", "number"), [("images", 1), ("labels", 3), ("labels", 4)])
def test_a_missing_file_of_any_part_is_one_line(kind: str, number: int, tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set")
    (tmp_path / "set" / kind / f"c{number}.nii.gz").unlink()
    assert f'case "c{number}" is missing' in refused(tmp_path, manifest)


@pytest.mark.parametrize("number", [0, 3])
def test_a_label_of_another_shape_is_one_line(number: int, tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set")
    label = np.zeros((20, 22, 9), np.uint8)
    write_nifti(tmp_path / "set" / "labels" / f"c{number}.nii.gz", label, np.diag([1, 1, 1.5, 1]))
    assert f"c{number}" in refused(tmp_path, manifest)


@pytest.mark.parametrize("number", [0, 3])
def test_a_label_outside_the_declared_set_is_one_line(number: int, tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set")
    file = tmp_path / "set" / "labels" / f"c{number}.nii.gz"
    volume = read_image(file)
    volume.array[0, 0, 0] = 9
    write_nifti(file, volume.array, np.diag([1, 1, 1.5, 1]))
    line = refused(tmp_path, manifest)
    assert f"c{number}" in line
    assert "9" in line


def test_a_folder_that_exists_is_refused_and_left_alone(tmp_path: Path, tiny: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("keep")
    done = train(tmp_path, tiny, output_dir=str(folder))
    assert done.code == 2
    assert f"{folder} exists" in done.line
    assert [p.name for p in folder.iterdir()] == ["notes.txt"]


def test_a_volume_smaller_than_the_patch_is_padded(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", parts=("train", "val", "test"))
    done = train(tmp_path, manifest, patch=[32, 32, 32], max_epochs=1)
    assert done.code == 0, done.err
