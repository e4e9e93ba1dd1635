"""Cohorts in several processes, some of which die."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.predict import Options, SegmentOptions, predict
from pipeline.predict.jobs import Supervisor, Worker, on_own_gpu
from pipeline.predict.recipe import Recipe
from pipeline.predict.resident import resident_bytes
from tests.predict.cohorts import ledger, masks, states, write_scans, write_unet

slow = pytest.mark.slow  # each process imports torch


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_unet(tmp_path_factory.mktemp("unet"))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("scans"), 4)


@pytest.fixture(scope="module")
def wanted(run: Path, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Masks that this process makes."""
    out = tmp_path_factory.mktemp("wanted")
    predict(run, scans, out)
    return masks(out)


@slow
def test_two_processes_make_the_same_masks(
    run: Path, scans: Path, wanted: dict[str, Any], tmp_path: Path
) -> None:
    told: list[str] = []
    roomy = SegmentOptions(max_ram_gib=64.0)
    outcome = predict(run, scans, tmp_path / "out", Options(how=roomy, jobs=2, tell=told.append))
    assert [p.name for p in outcome.masks] == sorted(wanted)
    found = masks(tmp_path / "out")
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert sorted(states(tmp_path / "out")) == [(f"c{n}", "done") for n in range(4)]
    assert told, "what the processes say of engines and memory comes through"
    again = predict(run, scans, tmp_path / "out", Options(jobs=2))
    assert again.kept == 4


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kill the process that has c1 in the network, as the kernel would; note the cases begun."""
    begun: list[str] = []
    told = Supervisor._told

    def _told(
        self: Supervisor, worker: Worker, kind: str, name: str, value: Any
    ) -> Iterator[tuple[Any, Any]]:
        if kind == "began":
            begun.append(name)
            if name == "c1":
                assert worker.process.pid is not None
                os.kill(worker.process.pid, signal.SIGKILL)
        return told(self, worker, kind, name, value)

    monkeypatch.setattr(Supervisor, "_told", _told)
    return begun


@slow
def test_a_case_whose_process_is_killed_twice_fails_and_the_rest_go_on(
    run: Path, scans: Path, wanted: dict[str, Any], tmp_path: Path, deadly: list[str]
) -> None:
    outcome = predict(run, scans, tmp_path / "out", Options(jobs=1))
    ((case, reason),) = outcome.failed
    assert case == "c1"
    assert "killed" in reason
    assert "--max-ram" in reason
    assert deadly.count("c1") == 2, "it is tried once more, alone"
    assert deadly[-1] == "c1", "after all the others"
    lines = {line["case"]: line for line in ledger(tmp_path / "out")}
    assert {case: line["state"] for case, line in lines.items()} == {
        "c0": "done", "c1": "failed", "c2": "done", "c3": "done",
    }  # fmt: skip
    assert "killed" in lines["c1"]["error"]
    found = masks(tmp_path / "out")
    assert sorted(found) == ["c0.nii.gz", "c2.nii.gz", "c3.nii.gz"]
    assert all(np.array_equal(found[name], wanted[name]) for name in found)


@slow
def test_a_limit_is_shared_and_one_that_cannot_be_kept_is_each_cases_refusal(
    run: Path, scans: Path, tmp_path: Path
) -> None:
    with pytest.raises(PipelineError, match="less than this process takes"):
        predict(run, scans, tmp_path / "out", Options(how=SegmentOptions(max_ram_gib=0.01), jobs=2))
    # what is left for the process of its own is less than its imports take
    limit = resident_bytes() / 2**30 + 0.25
    tight = Options(how=SegmentOptions(max_ram_gib=limit), jobs=1)
    outcome = predict(run, scans, tmp_path / "out", tight)
    assert [case for case, _ in outcome.failed] == ["c0", "c1", "c2", "c3"]
    assert all("--max-ram" in reason for _, reason in outcome.failed)
    assert not masks(tmp_path / "out")


@slow
def test_a_bug_in_a_process_comes_with_its_traceback(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _tear(self: Worker, task: Any, *, alone: bool = False) -> None:
        self.given[task.case.id] = task
        self.pipe.send("no task")

    monkeypatch.setattr(Worker, "send", _tear)
    with pytest.raises(RuntimeError, match="AttributeError"):
        predict(run, scans, tmp_path / "out", Options(jobs=1))


@pytest.mark.parametrize(
    ("device", "number", "gpus", "wanted"),
    [
        (None, 0, 2, "cuda:0"),
        (None, 3, 2, "cuda:1"),
        ("cuda", 1, 2, "cuda:1"),
        ("cuda:1", 0, 2, "cuda:1"),
        ("cpu", 1, 2, "cpu"),
        (None, 1, 0, None),
    ],
)
def test_processes_share_the_gpus_unless_one_is_named(
    device: str | None,
    number: int,
    gpus: int,
    wanted: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert on_own_gpu(Recipe(("run",), device), number).device == wanted


def test_a_process_that_replaces_another_takes_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class Played:
        exitcode = -signal.SIGKILL

        def __init__(self, args: Any, **_: Any) -> None:
            devices.append(args[0].device)

        def start(self) -> None: ...
        def join(self) -> None: ...

    class Context:
        Pipe = staticmethod(multiprocessing.Pipe)
        Process = Played

    devices: list[str | None] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: Context)
    supervisor = Supervisor(Recipe(("run",)), [MagicMock(), MagicMock()], 2, 1)
    assert not list(supervisor._died(supervisor._workers[1]))
    assert devices == ["cuda:0", "cuda:1", "cuda:1"]
