import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from pipeline.errors import InvalidValueError
from pipeline.tracking.run import ENDED_BY, TrackedRun, sweep, tracked

ROOT = Path(__file__).parents[2]


def _started(uri: str, **params: object) -> TrackedRun:
    run = TrackedRun(uri)
    run.start("attunet", "first", params)
    return run


def _status(uri: str, run: TrackedRun) -> tuple[str, str | None]:
    """Return the recorded status and what ended the run."""
    assert run.run_id is not None
    found = MlflowClient(tracking_uri=uri).get_run(run.run_id)
    return found.info.status, found.data.tags.get(ENDED_BY)


def _history(uri: str, run: TrackedRun, name: str) -> list[tuple[int, float]]:
    assert run.run_id is not None
    rows = MlflowClient(tracking_uri=uri).get_metric_history(run.run_id, name)
    return sorted((row.step, row.value) for row in rows)


def test_nothing_is_opened_or_written_before_the_start(tmp_path: Path) -> None:
    run = TrackedRun(f"sqlite:///{tmp_path}/new/mlflow.db")
    run.log_step(1, {"loss": 1.0})
    run.flush()
    run.log_text("a", "a.txt")
    run.finish("FINISHED")
    assert run.status is None
    assert not (tmp_path / "new").exists()


def test_a_run_holds_its_settings_and_what_made_it(uri: str) -> None:
    run = TrackedRun(uri)
    settings = {f"setting{i}": i for i in range(250)} | {"net": {"channels": [4, 8]}}
    run.start("attunet", "first", settings, {"manifest_hash": "abc"}, resumed_from="earlier")
    assert run.run_id is not None
    found = MlflowClient(tracking_uri=uri).get_run(run.run_id)
    assert found.info.run_name == "first"
    assert found.info.status == "RUNNING"
    assert len(found.data.params) == 251
    assert found.data.params["setting249"] == "249"
    assert found.data.params["net.channels"] == "[4, 8]"
    tags = found.data.tags
    assert (tags["manifest_hash"], tags["resumed_from"]) == ("abc", "earlier")
    assert tags["pid"] == str(os.getpid())
    assert {"host", "process_start", "version.torch", "mlflow.user"} <= set(tags)
    run.finish("FINISHED")


def test_a_setting_that_is_too_long_stands_whole_in_an_artifact(uri: str) -> None:
    cases = [f"case{i}" for i in range(2000)]
    run = _started(uri, cases=cases, seed=1)
    assert run.run_id is not None
    client = MlflowClient(tracking_uri=uri)
    assert len(client.get_run(run.run_id).data.params["cases"]) == 6000
    whole = json.loads(Path(client.download_artifacts(run.run_id, "params.json")).read_text())
    assert whole == {"cases": cases, "seed": 1}
    run.finish("FINISHED")


def test_buffered_numbers_equal_what_was_fed(uri: str) -> None:
    run = _started(uri)
    losses = torch.linspace(2, 0.125, 1500, dtype=torch.float64)
    for step, loss in enumerate(losses, 1):
        run.log_step(step, {"train/loss": loss, "lr": step / 8})
    assert _history(uri, run, "train/loss") == []
    run.flush()
    assert _history(uri, run, "train/loss") == list(enumerate(losses.tolist(), 1))
    assert _history(uri, run, "lr") == [(step, step / 8) for step in range(1, 1501)]
    run.flush()
    assert len(_history(uri, run, "lr")) == 1500
    run.finish("FINISHED")


def test_numbers_that_are_not_finite_are_kept_as_such(
    uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _started(uri)
    run.log_scores(1, {"nan": math.nan, "inf": math.inf, "low": -math.inf, "one": 1})
    assert math.isnan(_history(uri, run, "nan")[0][1])
    assert _history(uri, run, "inf") == [(1, sys.float_info.max)]
    assert _history(uri, run, "low") == [(1, -sys.float_info.max)]
    assert _history(uri, run, "one") == [(1, 1.0)]
    run.finish("FINISHED")
    assert capsys.readouterr().err == ""


def test_what_is_left_in_the_buffer_is_written_at_the_end(uri: str) -> None:
    run = _started(uri)
    run.log_step(1, {"loss": 0.5})
    run.finish("KILLED")
    assert _history(uri, run, "loss") == [(1, 0.5)]


def test_artifacts_are_files_texts_and_folders(uri: str, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    (pictures / "below").mkdir(parents=True)
    for name in ("a.png", "b.png", "below/c.png"):
        (pictures / name).write_bytes(b"png")
    run = _started(uri)
    run.log_artifacts(pictures, "pictures")
    run.log_artifacts(pictures / "a.png")
    run.log_dict({"max_epochs": 3}, "configs/train.json")
    run.finish("FINISHED")
    kept = tmp_path / "runs" / "mlartifacts" / str(run.run_id) / "artifacts"
    files = sorted(str(f.relative_to(kept)) for f in kept.rglob("*") if f.is_file())
    assert files == ["a.png", "configs/train.json", "pictures/a.png", "pictures/b.png"]
    assert json.loads((kept / "configs" / "train.json").read_text()) == {"max_epochs": 3}


def test_the_end_of_the_block_is_finished(uri: str) -> None:
    run = TrackedRun(uri)
    with tracked(run):
        run.start("attunet", "first", {})
    assert _status(uri, run) == ("FINISHED", "end")


class _Interrupted(BaseException):
    """What a signal handler may raise."""


@pytest.mark.parametrize(
    ("raised", "status", "reason"),
    [
        (RuntimeError("/home/name"), "FAILED", "RuntimeError"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
        (_Interrupted(), "KILLED", "_Interrupted"),
        (SystemExit(143), "KILLED", "exit 143"),
        (SystemExit(130), "KILLED", "exit 130"),
        (SystemExit(2), "FAILED", "exit 2"),
        (SystemExit("a message"), "FAILED", "exit"),
        (SystemExit(0), "FINISHED", "exit 0"),
    ],
)
def test_every_other_end_has_its_status_and_goes_on(
    uri: str, raised: BaseException, status: str, reason: str
) -> None:
    run = TrackedRun(uri)

    def job() -> None:
        run.start("attunet", "first", {})
        raise raised

    with pytest.raises(type(raised)) as caught, tracked(run):
        job()
    assert caught.value is raised
    assert _status(uri, run) == (status, reason)


def test_the_first_end_stands(uri: str) -> None:
    run = TrackedRun(uri)
    with tracked(run):
        run.start("attunet", "first", {})
        run.finish("FAILED", "nan")
    run.finish("KILLED")
    assert _status(uri, run) == ("FAILED", "nan")
    assert run.status == "FAILED"


def test_a_run_is_started_once(uri: str) -> None:
    run = _started(uri)
    with pytest.raises(RuntimeError, match="once"):
        run.start("attunet", "first", {})
    run.finish("FINISHED")


def test_a_bad_address_is_an_error_at_the_start() -> None:
    with pytest.raises(InvalidValueError, match="plain path"):
        TrackedRun("mlruns").start("attunet", "first", {})


def test_a_store_that_breaks_is_one_warning_and_the_training_goes_on(
    uri: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run = TrackedRun(uri)
    with tracked(run):
        run.start("attunet", "first", {})
        file = Path(uri.removeprefix("sqlite:///"))
        whole = file.read_bytes()
        file.write_bytes(b"no database any more" * 5000)
        for step in range(3):
            run.log_step(step, {"loss": 1.0})
            run.flush()
        run.log_text("a", "a.txt")
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"warning: tracking at {uri} failed")
        file.write_bytes(whole)
    assert _status(uri, run) == ("FINISHED", "end, recorded in part")
    assert capfd.readouterr().err == ""


def _child(uri: str, code: str) -> subprocess.Popen[str]:
    """Start a process that starts a run, prints its id and does `code`."""
    lines = [
        "from pipeline.tracking.run import TrackedRun, tracked",
        f"run = TrackedRun({uri!r})",
        "run.start('attunet', 'first', {})",
        "print(run.run_id, flush=True)",
        code,
    ]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", "\n".join(lines)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_a_run_of_a_killed_process_is_swept_and_a_living_one_is_neither_ended_nor_adopted(
    uri: str,
) -> None:
    children = [_child(uri, "input()") for _ in range(2)]
    ids = [_first_line(child) for child in children]
    children[0].send_signal(signal.SIGKILL)
    children[0].communicate()
    client = MlflowClient(tracking_uri=uri)
    assert client.get_run(ids[0]).info.status == "RUNNING"

    run = _started(uri, seed=1)

    killed, living = (client.get_run(run_id) for run_id in ids)
    assert (killed.info.status, killed.data.tags[ENDED_BY]) == ("KILLED", "its process had gone")
    assert killed.info.end_time is not None
    assert killed.data.params == {}
    assert living.info.status == "RUNNING"
    assert run.run_id not in ids
    assert sweep(client, living.info.experiment_id) == []
    run.finish("FINISHED")
    children[1].communicate("\n", timeout=60)
    ended = client.get_run(ids[1])
    # the living child left without an end: its exit has set one
    assert (ended.info.status, ended.data.tags[ENDED_BY]) == ("KILLED", "exit without an end")
    assert _status(uri, run) == ("FINISHED", "end")


def test_a_forked_child_does_not_end_its_parents_run(uri: str) -> None:
    run = _started(uri)
    run._owner += 1
    run._at_exit()
    assert _status(uri, run) == ("RUNNING", None)
    run._owner -= 1
    run._at_exit()
    assert _status(uri, run) == ("KILLED", "exit without an end")
