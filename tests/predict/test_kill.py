"""SIGKILL at any moment leaves whole files only, and the same call again ends the work."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import pytest

from pipeline.predict import predict
from tests.predict.cohorts import ledger, masks, write_scans, write_unet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CASES = 12
KILLS = 8
SCRIPT = """
import os, sys
from pipeline.predict import Options, predict
import pipeline.engines.eager, pipeline.networks.unet
for line in sys.stdin:
    child = os.fork()
    if not child:
        predict(*sys.argv[1:4], Options(jobs=int(sys.argv[4])))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
Kill = Callable[[float], bool]


@contextmanager
def cohort(*words: str) -> Iterator[tuple[Kill, int]]:
    """Yield a function that starts a cohort and kills it after seconds, and their session.

    The function says whether the cohort had ended before. What takes long, imports, is done once.
    """
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        start_new_session=True,
    )

    def kill(seconds: float) -> bool:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
        child = int(process.stdout.readline())
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        return int(process.stdout.readline()) == 0

    with process:
        yield kill, process.pid
        process.kill()


def test_a_kill_at_random_moments_leaves_no_half_written_file(tmp_path: Path) -> None:
    run = write_unet(tmp_path / "run")
    scans = write_scans(tmp_path / "in", CASES, size=40)
    out = tmp_path / "out"
    predict(run, scans, tmp_path / "wanted")
    wanted = masks(tmp_path / "wanted")
    rng = random.Random(0)
    done: set[str] = set()
    with cohort(str(run), str(scans), str(out), "0") as (kill, _):
        for _ in range(KILLS):
            if kill(rng.uniform(0.05, 0.5)):
                break
            for path in out.glob("*.nii.gz"):
                assert re.fullmatch(r"c\d+\.nii\.gz", path.name)
                file: Any = nibabel.load(path)
                assert np.array_equal(np.asanyarray(file.dataobj), wanted[path.name])
            exists = (out / "ledger.jsonl").exists()
            now = {line["case"] for line in ledger(out)} if exists else set()
            assert now >= done, "what is done stays done"
            done = now
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    outcome = predict(run, scans, out)
    assert outcome.kept == len(done)
    assert len(outcome.masks) == CASES
    for case in done:
        assert (out / f"{case}.nii.gz").stat().st_mtime_ns == times[out / f"{case}.nii.gz"]
    found = masks(out)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert not list(out.glob(".*")), "no draft is left"


def test_processes_of_a_killed_cohort_end_with_it(tmp_path: Path) -> None:
    run = write_unet(tmp_path / "run")
    scans = write_scans(tmp_path / "in", 4)
    with cohort(str(run), str(scans), str(tmp_path / "out"), "2") as (kill, session):
        kill(1.5)
        deadline = time.monotonic() + 60
        while len(_of_session(session)) > 1 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert _of_session(session) == [session], "only the one that started the cohort"
    assert len(predict(run, scans, tmp_path / "out").masks) == 4


def _of_session(session: int) -> list[int]:
    """Processes of a session that are alive."""
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getsid(process.pid) == session and process.info["status"] != "zombie":
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found
