"""A cohort on a local Ray cluster of two workers."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import psutil
import pytest

from pipeline.errors import ResourceError, UnknownNameError
from pipeline.predict import Options, predict
from pipeline.predict.cluster import SILENT, predict_on_ray
from pipeline.predict.inputs import InputCase
from pipeline.predict.recipe import Recipe, Task
from tests.predict.cohorts import ledger, masks, states, write_scans, write_unet

ON_RAY = Options(cluster="ray", quiet=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'unetworks[ray]'")
    # other tests' memory is no reason to end these workers
    os.environ.update({**SILENT, "RAY_memory_monitor_refresh_ms": "0"})
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield ray
    ray.shutdown()


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_cohort_survives_a_worker_that_is_killed(cluster: Any, tmp_path: Path) -> None:
    run = write_unet(tmp_path / "run")
    scans = write_scans(tmp_path / "in", 5, size=60)
    (scans / "broken.nii.gz").write_bytes(b"\x1f\x8b nothing")
    predict(run, scans, tmp_path / "wanted")
    wanted = masks(tmp_path / "wanted")
    killed: list[int] = []
    killer = threading.Thread(target=_kill_one, args=(killed,), daemon=True)
    killer.start()
    outcome = predict(run, scans, tmp_path / "out", ON_RAY)
    assert killed, "a worker was killed on the way"
    assert [case for case, _ in outcome.failed] == ["broken"]
    found = masks(tmp_path / "out")
    assert sorted(found) == sorted(wanted)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert sorted(states(tmp_path / "out")) == [
        ("broken", "failed"), *((f"c{n}", "done") for n in range(5)),
    ]  # fmt: skip
    assert all(str(tmp_path) not in str(line) for line in ledger(tmp_path / "out"))
    assert predict(run, scans, tmp_path / "out", ON_RAY).kept == 5


def _kill_one(killed: list[int]) -> None:
    """Kill the first process that predicts a case."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for process in psutil.process_iter(["pid", "cmdline"]):
            if "ray::_on_worker" in " ".join(process.info["cmdline"] or ()):
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
                return
        time.sleep(0.01)


def test_without_ray_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    scans = write_scans(tmp_path / "in", 2)
    with pytest.raises(ResourceError, match="ray is not installed") as caught:
        predict(write_unet(tmp_path / "run"), scans, tmp_path / "out", ON_RAY)
    assert "unetworks[ray]" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("device", "cluster", "gpus", "wanted"),
    [
        (None, {"CPU": 4.0, "GPU": 2.0}, 1, "cuda"),
        ("cuda:1", {"GPU": 2.0}, 1, "cuda"),
        ("cpu", {"GPU": 2.0}, 0, "cpu"),
        (None, {"CPU": 4.0}, 0, None),
    ],
)
def test_a_case_asks_the_cluster_for_a_gpu_and_takes_the_one_it_sees(
    device: str | None,
    cluster: dict[str, float],
    gpus: int,
    wanted: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = Task(InputCase("c0", (Path("c0.nii.gz"),), "c0.nii.gz"), Path("out.nii.gz"), ".")
    ray = MagicMock()
    ray.cluster_resources.return_value = cluster
    ray.wait.side_effect = lambda waiting: (waiting, [])
    ray.get.return_value = ("line", {"state": "done"})
    monkeypatch.setitem(sys.modules, "ray", ray)
    ((_, line),) = predict_on_ray(Recipe(("run",), device), [task], 3)
    assert line == {"state": "done"}
    asked = ray.remote.call_args.kwargs
    assert (asked["num_cpus"], asked["num_gpus"]) == (3, gpus)
    given = ray.remote.return_value.return_value.remote.call_args.args[0]
    assert given.device == wanted


def test_another_cluster_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'slurm'"):
        Options(cluster="slurm")


def test_nothing_is_told_to_anyone() -> None:
    assert SILENT["RAY_USAGE_STATS_ENABLED"] == "0"
