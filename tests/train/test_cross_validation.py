"""The loop of docs/training.md, run by a shell, stopped in its second fold and started again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.train.state import load_state
from tests.tiny import ATTUNET, ROOT, database, tracked, write_set

# small enough to be quick, long enough to be stopped in between
EPOCHS = 20
SETTINGS = (
    f"--manifest tiny.json --max_epochs {EPOCHS} --epoch_length 4 --batch_size 2 --val_interval 99"
)
BUNDLE = "bundles/attunet/train.json"


def loop(patch: str) -> str:
    """The documented loop with the settings of this test."""
    page = (ROOT / "docs" / "training.md").read_text()
    script: str
    (script,) = [s for s in re.findall(r"```sh\n(.*?)```", page, re.S) if "for fold in" in s]
    script = script.replace(
        '--manifest mine.json --max_epochs 100"', f'{SETTINGS} --patch {patch}"'
    )
    assert "0 1 2 3 4" in script
    assert BUNDLE in script
    return script.replace("0 1 2 3 4", "0 1").replace(BUNDLE, str(ATTUNET / "train.json"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of four patients in two folds, and the commands that the loop calls."""
    path = write_set(tmp_path, parts=("train",) * 4)
    content = json.loads(path.read_text())
    for number, case in enumerate(content["cases"]):
        case |= {"id": f"c{number}", "patient": f"p{number}"}
    halves = ["c0", "c1"], ["c2", "c3"]
    content["folds"] = [{"train": halves[1 - n], "val": halves[n]} for n in range(2)]
    path.write_text(json.dumps(content))
    database(tmp_path)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, arguments in (("python", ""), ("unetworks", " -m pipeline.cli")):
        (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable}{arguments} "$@"\n')
        (commands / name).chmod(0o755)
    return tmp_path


def started(folder: Path) -> subprocess.Popen[str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["bash", "-c", loop("[24,24,16]")],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_an_interrupted_loop_goes_on_where_it_stopped(folder: Path) -> None:
    child = started(folder)
    runs = [folder / "runs" / "attunet" / f"fold-{n}" for n in range(2)]
    deadline = time.monotonic() + 300
    while not (runs[1] / "state" / "last.pt").is_file():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)  # as Ctrl-C does
    child.communicate(timeout=120)
    first = (runs[0] / "scores.csv").read_bytes(), (runs[0] / "state" / "last.pt").stat().st_mtime
    stopped = load_state(runs[1])["epoch"]
    assert stopped < EPOCHS, "it was stopped in between"

    child = started(folder)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    assert f"resumed after epoch {stopped}" in err
    assert load_state(runs[1])["epoch"] == EPOCHS
    again = (runs[0] / "scores.csv").read_bytes(), (runs[0] / "state" / "last.pt").stat().st_mtime
    assert again == first, "a fold that has its scores is passed over"
    assert "test Dice of 2 runs, over 4 patients (4 cases)" in out
    assert "warning" not in err.split("resumed after")[1]
    assert len([run for run in tracked(folder) if run.status == "FINISHED"]) == 2
