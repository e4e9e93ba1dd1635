"""A cross-validation is summed up over patients, each with the mean of his cases."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DataError, InvalidValueError
from pipeline.manifests import load_manifest, remember_manifest
from pipeline.metrics import Score, summarise, write_table
from pipeline.tracking.folds import FoldScores, fold_scores, patient_spreads, repeated_folds
from pipeline.tracking.query import RunBook, RunRecord
from pipeline.tracking.run import TrackedRun

NAN = math.nan


def score(case: str, name: str, dice: float | None) -> Score:
    """A score; None: rightly absent."""
    state = "absent" if dice is None else "present" if dice else "missed"
    value = NAN if dice is None else dice
    return Score(case, name, state, value, value, NAN, value, NAN, NAN)  # type: ignore[arg-type]


def record(uri: str, name: str, rows: list[Score], tmp_path: Path, **params: Any) -> RunRecord:
    """A finished run with a table of scores."""
    run = TrackedRun(uri)
    tags = {"manifest_hash": params.pop("hash", "?")}
    run.start("unet", name, params, tags)
    table = tmp_path / name / "scores.csv"
    table.parent.mkdir()
    write_table(rows, summarise(rows), table)
    run.log_artifacts(table)
    run.finish("FINISHED")
    return RunBook(uri).find(name)


def fold(number: int, rows: list[Score], patients: dict[str, str] | None) -> FoldScores:
    values = {"params": {"fold": str(number)}, "tags": {}, "metrics": {}}
    run: Any = type("Run", (), {"id": f"id{number}", "name": f"fold{number}", **values})()
    return FoldScores(run, tuple(rows), patients)


def test_two_cases_of_a_patient_count_once() -> None:
    # patient a: .6 and .8, so .7; b: .9; by cases the mean would be .767
    folds = [
        fold(0, [score("a1", "liver", 0.6), score("a2", "liver", 0.8)], {"a1": "a", "a2": "a"}),
        fold(1, [score("b1", "liver", 0.9)], {"b1": "b"}),
    ]
    liver, mean = patient_spreads(folds)
    assert (liver.mean, liver.count) == pytest.approx((0.8, 2))
    assert liver.deviation == pytest.approx(0.02**0.5)  # of .7 and .9
    assert (liver.lowest, liver.highest) == pytest.approx((0.7, 0.9))
    assert mean.mean == liver.mean


def test_a_class_that_a_patient_rightly_lacks_is_left_out_and_a_missed_one_counts_zero() -> None:
    folds = [
        fold(0, [score("a", "liver", 1.0), score("a", "tumour", None)], {"a": "a"}),
        fold(1, [score("b", "liver", 0.8), score("b", "tumour", 0.0)], {"b": "b"}),
    ]
    liver, tumour, mean = patient_spreads(folds)
    assert (liver.count, tumour.count, mean.count) == (2, 1, 2)
    assert tumour.mean == 0
    assert math.isnan(tumour.deviation)
    assert mean.mean == pytest.approx(0.45)  # of the classes' means, as in scores.csv
    assert (mean.lowest, mean.highest) == pytest.approx((0.4, 1.0))  # of the patients' own


def test_cases_whose_patients_are_not_known_count_one_by_one() -> None:
    rows = [[score("c", "liver", 0.5)], [score("c", "liver", 0.7)]]
    liver, _ = patient_spreads([fold(n, rows[n], None) for n in range(2)])
    assert liver.count == 2


def test_a_spread_needs_two_different_runs() -> None:
    one = fold(0, [score("a", "liver", 0.5)], {"a": "a"})
    with pytest.raises(InvalidValueError, match="two different runs"):
        patient_spreads([one, one])


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    cases = [
        {"id": f"c{n}", "image": f"i{n}.nii.gz", "label": f"l{n}.nii.gz", "patient": p}
        for n, p in enumerate("aab")
    ]
    folds = [{"train": ["c2"], "val": ["c0", "c1"]}, {"train": ["c0", "c1"], "val": ["c2"]}]
    content = {"name": "set", "modality": "MR", "labels": {"liver": 1}, "cases": cases}
    path = tmp_path / "set.json"
    path.write_text(json.dumps({**content, "folds": folds}))
    return path


def test_scores_and_patients_are_found_from_the_run_alone(
    uri: str, tmp_path: Path, manifest: Path
) -> None:
    known = {"manifest": str(manifest), "hash": load_manifest(manifest).hash}
    remember_manifest(known["hash"], str(manifest), None)
    rows = [score("c0", "liver", 0.5), score("c1", "liver", 0.7)]
    run = record(uri, "fold0", rows, tmp_path, fold=0, **known)
    found = fold_scores(RunBook(uri), run)
    assert [row.dice for row in found.rows] == [0.5, 0.7]
    assert found.all_patients == {"patient a"}


def test_patients_are_found_where_the_run_says_the_manifests_name_alone(
    uri: str, tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    digest = load_manifest(manifest).hash
    run = record(
        uri, "fold0", [score("c0", "liver", 0.5)], tmp_path, manifest=str(manifest), hash=digest
    )
    assert run.params["manifest"] == manifest.name
    assert fold_scores(RunBook(uri), run).patients is None
    remember_manifest(digest, str(manifest), None)
    assert fold_scores(RunBook(uri), run).all_patients == {"patient a"}


@pytest.mark.parametrize("change", ["gone", "other"])
def test_a_manifest_that_is_gone_or_has_changed_tells_no_patients(
    uri: str, tmp_path: Path, manifest: Path, change: str
) -> None:
    name = str(manifest) if change == "other" else str(tmp_path / "none.json")
    rows = [score("c0", "liver", 0.5)]
    run = record(uri, "fold0", rows, tmp_path, manifest=name, hash="another")
    assert fold_scores(RunBook(uri), run).patients is None


def test_a_run_without_a_table_is_refused(uri: str) -> None:
    TrackedRun(uri).start("unet", "killed", {})
    book = RunBook(uri)
    with pytest.raises(DataError, match="no test scores in killed") as caught:
        fold_scores(book, book.find("killed"))
    assert "resume" in caught.value.hint


def test_a_fold_that_is_counted_twice_is_named(uri: str) -> None:
    for number in (0, 1, 1, None, None):
        TrackedRun(uri).start("unet", "run", {"fold": number})
    assert repeated_folds(RunBook(uri).runs) == ["1"]
