import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import runs
from pipeline.errors import UnknownNameError
from pipeline.metrics import Score, summarise, write_table
from pipeline.tracking.run import TrackedRun

ROOT = Path(__file__).parents[2]


def _unetworks_runs(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    runs.register(parser)
    return runs.run(parser.parse_args(arguments))


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a database with two folds of `attunet`, and a failed run of `unet`."""
    folder = tmp_path_factory.mktemp("runs")
    address = f"sqlite:///{folder / 'mlflow.db'}"
    for fold, score in enumerate((0.8, 0.9)):
        run = TrackedRun(address)
        run.start("attunet", f"fold{fold}", {"fold": fold, "seed": 3}, {"manifest_hash": "abc"})
        run.log_scores(4, {"val/dice_mean": 0.75, "test/dice_mean": score, "test/dice_a": score})
        run.log_text("{}", "configs/train.json")
        rows = [Score(f"c{n}", "a", "present", score + n / 10, 0, 0, 0, 1, 1) for n in (0, 1)]
        write_table(rows, summarise(rows), folder / "scores.csv")
        run.log_artifacts(folder / "scores.csv")
        run.finish("FINISHED")
    run = TrackedRun(address)
    run.start("unet", "broken", {"seed": 3})
    run.finish("FAILED")
    return address


def test_without_runs_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _unetworks_runs() == 0
    out = capsys.readouterr().out
    assert out.startswith("no runs yet at sqlite:///")
    assert "python -m monai.bundle run training" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("action", [(), ("list",)])
def test_the_list_is_a_line_a_run_newest_first(
    uri: str, action: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _unetworks_runs(*action, "--tracking_uri", uri) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split("  ")[0] == "id"
    cells = [[cell for cell in line.split("  ") if cell] for line in lines]
    assert [row[1].strip() for row in cells] == ["broken", "fold1", "fold0"]
    assert [row[3].strip() for row in cells] == ["FAILED", "FINISHED", "FINISHED"]
    assert [row[-1].strip() for row in cells] == ["-", "0.900", "0.800"]
    assert [row[-2].strip() for row in cells] == ["-", "0.750", "0.750"]


def test_options_may_stand_before_the_action(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _unetworks_runs("--experiment", "unet", "--tracking_uri", uri, "list") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_show_prints_settings_tags_metrics_and_artifacts(
    uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _unetworks_runs("show", "fold1", "--tracking_uri", uri) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("FINISHED, started 20")
    assert [line.split() for line in out.splitlines()][4:6] == [["fold", "1"], ["seed", "3"]]
    assert "manifest_hash" in out
    assert "test/dice_mean  0.9000" in out
    assert "configs/train.json" in out
    assert f"mlflow ui --backend-store-uri {uri}" in out


def test_compare_shows_what_differs_and_the_metrics(
    uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _unetworks_runs("compare", "fold0", "fold1", "broken", "--tracking_uri", uri) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["fold"] == ["0", "1", "-"]
    assert rows["status"] == ["FINISHED", "FINISHED", "FAILED"]
    assert rows["test/dice_mean"] == ["0.8000", "0.9000", "-"]
    assert "seed" not in rows


def test_folds_prints_mean_and_spread_over_patients_and_the_mean_of_each_run(
    uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _unetworks_runs("folds", "fold0", "fold1", "--tracking_uri", uri) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == "test Dice of 2 runs, over 4 patients (4 cases)"
    # .8 .9 .9 1
    assert [line.split() for line in lines[2:4]] == [
        ["a", "0.900", "0.082", "0.800", "1.000", "4"],
        ["mean", "0.900", "0.082", "0.800", "1.000", "4"],
    ]
    assert [line.split() for line in lines[-2:]] == [
        ["fold0", "0", "0.800", "2"],
        ["fold1", "1", "0.900", "2"],
    ]
    assert captured.err.count("each case counts as a patient of its own") == 2


def test_an_unknown_run_is_an_error(uri: str) -> None:
    with pytest.raises(UnknownNameError, match="no run 'fold9'"):
        _unetworks_runs("show", "fold9", "--tracking_uri", uri)


def test_runs_are_listed_without_torch(uri: str) -> None:
    code = (
        "import argparse, sys\n"
        "from pipeline.cli import runs\n"
        "parser = argparse.ArgumentParser()\n"
        "runs.register(parser)\n"
        "assert 'mlflow' not in sys.modules\n"
        "runs.run(parser.parse_args())\n"
        "print(sorted({'torch', 'monai', 'ignite'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, "--tracking_uri", uri],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "fold1" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == ""
