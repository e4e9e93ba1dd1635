import json
import math
from pathlib import Path

import pytest

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.tracking import process
from pipeline.tracking.query import RunBook, differing_params
from pipeline.tracking.run import Status, TrackedRun


def _recorded(
    uri: str,
    name: str,
    scores: dict[str, object] | None = None,
    *,
    experiment: str = "attunet",
    status: Status = "FINISHED",
    **params: object,
) -> str:
    run = TrackedRun(uri)
    run.start(experiment, name, params)
    run.log_scores(1, scores or {})
    run.log_text("a", "configs/train.json")
    run.finish(status)
    assert run.run_id is not None
    return run.run_id


def test_reading_makes_no_database(tmp_path: Path) -> None:
    assert RunBook(f"sqlite:///{tmp_path}/runs/mlflow.db").runs == []
    assert list(tmp_path.iterdir()) == []


def test_runs_stand_newest_first_with_their_values(uri: str) -> None:
    _recorded(uri, "first", experiment="unet", status="FAILED", seed=1)
    _recorded(uri, "second", {"val/dice_mean": 0.5, "test/dice_mean": 0.25})
    book = RunBook(uri)
    second, first = book.runs
    assert [(run.name, run.experiment, run.status) for run in (second, first)] == [
        ("second", "attunet", "FINISHED"),
        ("first", "unet", "FAILED"),
    ]
    assert first.params == {"seed": "1"}
    assert (first.score("val"), second.score("val"), second.score("test")) == (None, 0.5, 0.25)
    assert 0 <= second.minutes < 10
    assert not any(name.startswith("mlflow.") for name in second.tags)
    assert book.artifacts(first) == ["configs/train.json"]


def test_more_runs_than_a_page_are_all_read(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.tracking.query.PAGE", 2)
    for i in range(5):
        _recorded(uri, f"run{i}")
    assert [run.name for run in RunBook(uri).runs] == ["run4", "run3", "run2", "run1", "run0"]


def test_only_one_experiment_may_be_read(uri: str) -> None:
    _recorded(uri, "first", experiment="unet")
    _recorded(uri, "second")
    assert [run.name for run in RunBook(uri, "unet").runs] == ["first"]
    with pytest.raises(UnknownNameError, match="no experiment 'unett'") as caught:
        RunBook(uri, "unett")
    assert caught.value.hint == "did you mean 'unet'?"


def test_a_run_whose_process_is_gone_is_shown_as_killed(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = TrackedRun(uri)
    run.start("attunet", "first", {})
    assert [found.status for found in RunBook(uri).runs] == ["RUNNING"]
    monkeypatch.setattr(process, "is_gone", lambda tags: tags["pid"] != "")
    shown = RunBook(uri).runs[0]
    assert shown.status == "KILLED"
    assert math.isnan(shown.minutes)
    run.finish("FINISHED")


def test_a_run_is_found_by_id_name_and_folder(uri: str, tmp_path: Path) -> None:
    run_id = _recorded(uri, "2026-11-24-12-00-00")
    _recorded(uri, "other")
    folder = tmp_path / "moved"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "model.json").write_text(json.dumps({"run_id": run_id}))
    named = tmp_path / "2026-11-24-12-00-00"
    named.mkdir()
    book = RunBook(uri)
    for wanted in (run_id, run_id[:6], "2026-11-24-12-00-00", str(folder), f"{named}/"):
        assert book.find(wanted).id == run_id


def test_a_folder_with_only_a_state_is_found(uri: str, tmp_path: Path) -> None:
    run_id = _recorded(uri, "first")
    (tmp_path / "r" / "state").mkdir(parents=True)
    (tmp_path / "r" / "state" / "broken.json").write_text("{")
    (tmp_path / "r" / "state" / "last.json").write_text(json.dumps({"run_id": run_id}))
    assert RunBook(uri).find(str(tmp_path / "r")).id == run_id


def test_an_unknown_run_suggests_the_nearest(uri: str) -> None:
    _recorded(uri, "first")
    with pytest.raises(UnknownNameError, match="no run 'frist'") as caught:
        RunBook(uri).find("frist")
    assert caught.value.hint == "did you mean 'first'?"
    with pytest.raises(UnknownNameError) as caught:
        RunBook(uri).find("zzzz")
    assert "unetworks runs list" in caught.value.hint


def test_without_runs_the_hint_makes_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        RunBook(f"sqlite:///{tmp_path}/mlflow.db").find("first")
    assert "monai.bundle run training" in caught.value.hint


def test_a_name_of_several_runs_asks_for_an_id(uri: str) -> None:
    ids = [_recorded(uri, "same") for _ in range(2)]
    with pytest.raises(InvalidValueError, match="2 runs are called 'same'") as caught:
        RunBook(uri).find("same")
    assert all(run_id[:8] in str(caught.value) for run_id in ids)


def test_settings_that_differ_are_named(uri: str) -> None:
    _recorded(uri, "first", seed=0, patch=[1, 2], fold=0)
    _recorded(uri, "second", seed=0, patch=[1, 3])
    assert differing_params(RunBook(uri).runs) == ["fold", "patch"]
