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
from pathlib import Path
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
from pipeline.train import state as state_module
from pipeline.train.state import load_state
from pipeline.train.workflow import Training
from tests.tiny import ATTUNET, FAST, ROOT, Outcome, database, train, tracked, write_set

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


def interrupt(training: Training) -> None:
    raise KeyboardInterrupt


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
    assert {"version.torch", "version.monai", "commit"} <= run.tags.keys()
    for name in ("val/dice_mean", "test/dice_mean", "test/dice_organ", "lr", "time/epoch_s"):
        assert name in run.metrics, sorted(run.metrics)
    assert [step for step, _ in losses(trained.folder, run)] == [1, 2, 3, 4]
    client = open_client(f"sqlite:///{trained.folder}/runs/mlflow.db")
    files = [client.list_artifacts(run.id, part) for part in (None, "configs", "pictures")]
    found = {entry.path for part in files for entry in part}
    assert {"scores.csv", "configs/train.json", "pictures/c4.png"} <= found


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


def test_a_resumed_run_is_the_uninterrupted_one(
    tiny: Path, tmp_path: Path
) -> None:
    settings = {"max_epochs": 4, "val_interval": 1}
    whole = train(tmp_path / "whole", tiny, **settings)
    with during(
        Events.ITERATION_COMPLETED, lambda t: t.trainer.state.iteration == 5 and interrupt(t)
    ):
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
