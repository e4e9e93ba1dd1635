"""Cohorts in one process: what is done stays done, and what fails takes nothing along."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ResourceError
from pipeline.io import write_nifti
from pipeline.predict import Options, SegmentOptions, predict
from pipeline.predict.cohort import predict_tasks
from pipeline.predict.inputs import find_cases
from pipeline.predict.recipe import Recipe, Task
from pipeline.predict.segment import read_case
from tests.predict.cohorts import ledger, states, write_scans
from tests.threshold import write_run

PREDICTED = "pipeline.predict.recipe.segment"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return write_scans(tmp_path / "in", 3)


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the cases that come into the network."""
    from pipeline.predict.segment import segment

    seen: list[str] = []

    def _segment(case: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(case.id)
        return segment(case, *args, **kwargs)

    monkeypatch.setattr(PREDICTED, _segment)
    return seen


def test_the_same_call_again_does_nothing(
    run: Path, scans: Path, tmp_path: Path, predicted: list[str]
) -> None:
    first = predict(run, scans, tmp_path / "out")
    assert predicted == ["c0", "c1", "c2"]
    again = predict(run, scans, tmp_path / "out")
    assert predicted == ["c0", "c1", "c2"]
    assert (first.kept, again.kept) == (0, 3)
    assert again.masks == first.masks
    assert states(tmp_path / "out") == [("c0", "done"), ("c1", "done"), ("c2", "done")]


@pytest.mark.parametrize("gone", ["c1.nii.gz", "c1.json"])
def test_only_what_is_missing_is_predicted(
    run: Path, scans: Path, tmp_path: Path, predicted: list[str], gone: str
) -> None:
    predict(run, scans, tmp_path / "out")
    (tmp_path / "out" / gone).unlink()
    predicted.clear()
    predict(run, scans, tmp_path / "out")
    assert predicted == ["c1"]


def test_a_case_is_anew_after_a_change_of_options_weights_or_file(
    run: Path, scans: Path, tmp_path: Path, predicted: list[str]
) -> None:
    for options, wanted in (
        (Options(), ["c0", "c1", "c2"]),
        (Options(how=SegmentOptions(overlap=0.25)), ["c0", "c1", "c2"]),
        (Options(how=SegmentOptions(overlap=0.25), postprocess={"organ": {"largest": True}}),
         ["c0", "c1", "c2"]),
        (Options(how=SegmentOptions(overlap=0.25, max_ram_gib=64.0),
                 postprocess={"organ": {"largest": True}}), []),
    ):  # fmt: skip
        predicted.clear()
        predict(run, scans, tmp_path / "out", options)
        assert predicted == wanted
    predicted.clear()
    values = np.zeros((9, 9, 9), np.int16)
    write_nifti(scans / "c2.nii.gz", values, np.eye(4))
    predict(run, scans, tmp_path / "out", options)
    assert predicted == ["c2"], "another scan of the same name"
    predict(write_run(tmp_path / "b"), scans, tmp_path / "out", options)
    assert predicted == ["c2"], "the same weights in another folder"


def test_again_predicts_what_is_done(
    run: Path, scans: Path, tmp_path: Path, predicted: list[str]
) -> None:
    predict(run, scans, tmp_path / "out")
    predict(run, scans, tmp_path / "out", Options(again=True))
    assert predicted == ["c0", "c1", "c2"] * 2


def test_a_case_that_failed_is_tried_again_and_its_last_line_counts(
    run: Path, scans: Path, tmp_path: Path, predicted: list[str]
) -> None:
    good = (scans / "c1.nii.gz").read_bytes()
    (scans / "c1.nii.gz").write_bytes(good[:100])
    assert [case for case, _ in predict(run, scans, tmp_path / "out").failed] == ["c1"]
    (scans / "c1.nii.gz").write_bytes(good)
    assert not predict(run, scans, tmp_path / "out").failed
    assert states(tmp_path / "out")[1:] == [("c1", "failed"), ("c2", "done"), ("c1", "done")]


def test_a_line_that_a_crash_cut_short_counts_for_nothing(
    run: Path, scans: Path, tmp_path: Path, predicted: list[str]
) -> None:
    predict(run, scans, tmp_path / "out")
    path = tmp_path / "out" / "ledger.jsonl"
    path.write_text(path.read_text()[:-20])
    predicted.clear()
    predict(run, scans, tmp_path / "out")
    assert predicted == ["c2"]
    predict(run, scans, tmp_path / "out")
    assert predicted == ["c2"], "the new line is not lost in the broken one"


def test_the_ledger_says_what_made_each_mask(run: Path, scans: Path, tmp_path: Path) -> None:
    predict(run, scans, tmp_path / "out")
    for line in ledger(tmp_path / "out"):
        assert line["engine"] == "torch fp32"
        assert line["seconds"] > 0
        assert line["peak_memory_gib"] > 0
        assert len(line["sha256"][0]) == 64
        assert "error" not in line


def test_the_next_case_is_read_while_one_is_in_the_network(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.predict.segment import segment

    read: dict[str, threading.Event] = {f"c{n}": threading.Event() for n in range(3)}

    def _read(case: Any) -> Any:
        image = read_case(case)
        read[case.id].set()
        return image

    def _segment(case: Any, *args: Any, **kwargs: Any) -> Any:
        following = {"c0": "c1", "c1": "c2"}.get(case.id)
        assert following is None or read[following].wait(20), "nothing is read meanwhile"
        return segment(case, *args, **kwargs)

    monkeypatch.setattr("pipeline.predict.cohort.read_case", _read)
    monkeypatch.setattr(PREDICTED, _segment)
    assert len(predict(run, scans, tmp_path / "out").masks) == 3


def test_a_mask_is_written_while_the_next_case_is_in_the_network(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.predict.outputs import write_mask
    from pipeline.predict.segment import segment

    began = threading.Event()

    def _segment(case: Any, *args: Any, **kwargs: Any) -> Any:
        if case.id == "c1":
            began.set()
        return segment(case, *args, **kwargs)

    def _write(path: Path, *args: Any) -> None:
        assert path.name != "c0.nii.gz" or began.wait(20), "c1 waits for the mask of c0"
        write_mask(path, *args)

    monkeypatch.setattr("pipeline.predict.recipe.write_mask", _write)
    monkeypatch.setattr(PREDICTED, _segment)
    assert len(predict(run, scans, tmp_path / "out").masks) == 3


def tasks_of(scans: Path, out: Path) -> list[Task]:
    return [Task(c, out / f"{c.id}.nii.gz", str(scans)) for c in find_cases(scans)]


def test_the_cases_before_and_after_make_room_where_the_limit_is_too_low_for_all(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: dict[str, int] = {}
    waited: list[bool] = []

    def _segment(case: Any, models: Any, how: SegmentOptions, **kwargs: Any) -> Any:
        from pipeline.predict.segment import segment

        tries[case.id] = tries.get(case.id, 0) + 1
        if tries[case.id] == 1 and case.id != "c2":
            raise ResourceError("too few", hint="give more")
        return segment(case, models, replace(how, max_ram_gib=None), **kwargs)

    def _wait(jobs: Any) -> None:
        waited.extend(job.result()["state"] == "done" for job in jobs)

    monkeypatch.setattr(PREDICTED, _segment)
    monkeypatch.setattr("pipeline.predict.cohort.wait", _wait)
    monkeypatch.setattr("pipeline.predict.cohort.Reader.holds", True)
    recipe = Recipe((str(run),), how=SegmentOptions(max_ram_gib=50.0))
    with recipe.open() as predictor:
        lines = [line for _, line in predict_tasks(predictor, tasks_of(scans, tmp_path / "out"))]
    assert [line["state"] for line in lines] == ["done"] * 3
    assert sorted(tries.values()) == [1, 2, 2]
    assert all(waited)


def test_a_case_that_is_too_large_by_itself_is_not_tried_again(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def _segment(case: Any, *args: Any, **kwargs: Any) -> Any:
        tries.append(case.id)
        time.sleep(0.5)  # until the reader knows that nothing follows
        raise ResourceError("too few", hint="give more")

    monkeypatch.setattr(PREDICTED, _segment)
    monkeypatch.setattr("pipeline.predict.cohort.AHEAD", 1e-12)
    monkeypatch.setattr("pipeline.predict.cohort.Reader.held_bytes", lambda self: 0)
    recipe = Recipe((str(run),), how=SegmentOptions(max_ram_gib=50.0))
    last = tasks_of(scans, tmp_path / "out")[-1:]
    with recipe.open() as predictor:
        (line,) = [line for _, line in predict_tasks(predictor, last)]
    assert line["state"] == "failed"
    assert len(tries) == 1


def test_a_case_that_waits_is_not_read_where_it_is_too_large_for_the_limit(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _read(case: Any) -> Any:
        raise AssertionError("read ahead")

    monkeypatch.setattr("pipeline.predict.cohort.read_case", _read)
    monkeypatch.setattr("pipeline.predict.cohort.AHEAD", 1e-12)
    limited = Options(how=SegmentOptions(max_ram_gib=64.0))
    assert len(predict(run, scans, tmp_path / "out", limited).masks) == 3


def test_the_engines_stay_open_from_case_to_case(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.engines import open_engine

    opened: list[str] = []

    def _open(name: str, *args: Any) -> Any:
        opened.append(name)
        return open_engine(name, *args)

    monkeypatch.setattr("pipeline.predict.computing.open_engine", _open)
    predict(run, scans, tmp_path / "out")
    assert opened == ["torch"]


def test_a_full_disk_is_that_cases_failure(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.predict.outputs import write_mask

    def _write(path: Path, *args: Any) -> None:
        if path.name == "c1.nii.gz":
            raise ResourceError(f"{path}: no space left on the disk", hint="free some space")
        write_mask(path, *args)

    monkeypatch.setattr("pipeline.predict.recipe.write_mask", _write)
    outcome = predict(run, scans, tmp_path / "out")
    assert [p.name for p in outcome.masks] == ["c0.nii.gz", "c2.nii.gz"]
    assert "no space" in outcome.failed[0][1]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "c0.nii.gz", "c0.json", "c2.nii.gz", "c2.json", "ledger.jsonl",
    }  # fmt: skip


def test_drafts_of_a_killed_process_are_removed(run: Path, scans: Path, tmp_path: Path) -> None:
    draft = tmp_path / "out" / ".1a2b3c4d.c1.nii.gz"
    other = tmp_path / "out" / ".1a2b3c4d.other.nii.gz"
    draft.parent.mkdir()
    for path in (draft, other):
        path.write_bytes(b"half")
    predict(run, scans, tmp_path / "out")
    assert not draft.exists()
    assert other.exists(), "not a case of this call"


def test_the_models_plan_may_say_what_is_mended(scans: Path, tmp_path: Path) -> None:
    import json

    from tests.threshold import plan_of

    plan = plan_of(postprocess={"organ": {"minimum_mm3": 1e9}})
    predict(write_run(tmp_path / "run", plan=plan), scans / "c0.nii.gz", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "c0.json").read_text())
    assert record["counts"]["organ"]["voxels"] == 0
    assert record["counts"]["lesion"]["voxels"] > 0
    assert record["postprocess"]["organ"]["minimum_mm3"] == 1e9
    given = Options(postprocess={"lesion": {"minimum_mm3": 1e9}})
    predict(write_run(tmp_path / "run", plan=plan), scans / "c0.nii.gz", tmp_path / "b", given)
    record = json.loads((tmp_path / "b" / "c0.json").read_text())
    assert record["counts"]["organ"]["voxels"] > 0, "what is given goes before the plan"
    assert record["counts"]["lesion"]["voxels"] == 0
