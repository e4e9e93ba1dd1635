"""SIGKILL at any moment leaves whole files only, and the same call again ends the work."""

import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from pipeline.predict import predict
from tests.predict.cohorts import ledger, masks, write_scans, write_unet

COUNT = 12
KILLS = 5
SCRIPT = """
import sys
from pipeline.predict import Options, predict
import pipeline.engines.eager, pipeline.networks.unet
print("ready", flush=True)
predict(*sys.argv[1:4], Options(jobs=int(sys.argv[4])))
"""


def killed_after(seconds: float, *words: str) -> bool:
    """Start a cohort and kill it that long after its imports; return whether it ended before."""
    command = [sys.executable, "-c", SCRIPT, *words]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=root, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 120)[0]
        assert process.stdout.readline() == b"ready\n"
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            return False


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_kill_at_random_moments_leaves_no_half_written_file(tmp_path: Path) -> None:
    run = write_unet(tmp_path / "run")
    scans = write_scans(tmp_path / "in", COUNT, size=40)
    predict(run, scans, tmp_path / "wanted")
    wanted = masks(tmp_path / "wanted")
    out = tmp_path / "out"
    rng = random.Random(0)
    done: set[str] = set()
    for _ in range(KILLS):
        if killed_after(rng.uniform(0.05, 0.9), str(run), str(scans), str(out), "0"):
            break
        for path in out.glob("*.nii.gz") if out.exists() else ():
            assert re.fullmatch(r"c\d+\.nii\.gz", path.name)
            file: Any = nibabel.load(path)
            assert np.array_equal(np.asanyarray(file.dataobj), wanted[path.name])
        now = {line["case"] for line in ledger(out)} if (out / "ledger.jsonl").exists() else set()
        assert now >= done, "what is done stays done"
        done = now
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    outcome = predict(run, scans, out)
    assert outcome.kept == len(done)
    assert len(outcome.masks) == COUNT
    for case in done:
        assert (out / f"{case}.nii.gz").stat().st_mtime_ns == times[out / f"{case}.nii.gz"]
    found = masks(out)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert not list(out.glob(".*")), "no draft is left"


@pytest.mark.slow
def test_processes_of_a_killed_cohort_end_with_it(tmp_path: Path) -> None:
    run = write_unet(tmp_path / "run")
    scans = write_scans(tmp_path / "in", 30, size=40)
    assert not killed_after(4.0, str(run), str(scans), str(tmp_path / "out"), "2")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not _mentioning(str(tmp_path)):
            break
        time.sleep(0.2)
    assert not _mentioning(str(tmp_path))
    outcome = predict(run, scans, tmp_path / "out")
    assert len(outcome.masks) == 30
    assert not list((tmp_path / "out").glob(".*"))


def _mentioning(word: str) -> list[int]:
    """Other processes in whose working folder or command line a word stands."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.pid != os.getpid() and word in " ".join(process.info["cmdline"] or ()):
            found.append(process.pid)
    return found
