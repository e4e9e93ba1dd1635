from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.io import write_nifti
from pipeline.predict.segment import segment
from tests.threshold import threshold, write_run

__all__ = ["threshold"]
Capture = pytest.CaptureFixture[str]
HERE = ["--jobs", "0", "--quiet"]  # another process does not know the network of the tests
SCAN = np.full((8, 8, 8), 100, np.int16)


@pytest.fixture
def run(tmp_path: Path, threshold: None) -> str:
    return str(write_run(tmp_path / "run"))


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for name in ("a", "b"):
        write_nifti(folder / f"{name}.nii.gz", SCAN, np.eye(4))
    return folder


def test_masks_are_written_and_their_places_printed(
    run: str, cohort: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["predict", run, str(cohort), str(tmp_path / "out"), *HERE]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(tmp_path / "out" / f"{n}.nii.gz") for n in "ab"]
    assert err == ""


def test_a_case_of_a_cohort_that_fails_is_one_line_and_code_2(
    run: str, cohort: Path, tmp_path: Path, capsys: Capture
) -> None:
    (cohort / "a.nii.gz").write_bytes(b"")
    assert main(["predict", run, str(cohort), str(tmp_path / "out"), *HERE]) == 2
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'out' / 'b.nii.gz'}\n"
    assert err.startswith("error: a: ")
    assert err.count("\n") == 1


def test_options_reach_the_prediction(run: str, cohort: Path, tmp_path: Path) -> None:
    words = ["predict", run, run, str(cohort / "a.nii.gz"), str(tmp_path / "out")]
    options = ["--probabilities", "organ", "--overlap", "0.25", "--device", "cpu", "--quiet"]
    assert main([*words, *options]) == 0
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"a.nii.gz", "a.json", "a_prob.nii.gz", "ledger.jsonl"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--overlap", "1"], "overlap is 1.0"),
        (["--device", "gpu"], "device is 'gpu'"),
        (["--probabilities", "organs"], "no class 'organs'"),
    ],
)
def test_an_impossible_option_is_one_line_and_code_2(
    run: str, cohort: Path, tmp_path: Path, capsys: Capture, options: list[str], said: str
) -> None:
    words = ["predict", run, str(cohort), str(tmp_path / "out"), *options]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1


def test_ctrl_c_leaves_what_was_finished_and_ends_with_130(
    run: str, cohort: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def _stopped(*args: object, **kwargs: object) -> object:
        seen.append(args)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return segment(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("pipeline.predict.recipe.segment", _stopped)
    assert main(["predict", run, str(cohort), str(tmp_path / "out"), *HERE]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"a.nii.gz", "a.json", "ledger.jsonl"}


def test_many_masks_are_summed_up(run: str, tmp_path: Path, capsys: Capture) -> None:
    for number in range(11):
        write_nifti(tmp_path / "in" / f"{number:02}.nii", SCAN[:2, :2, :2], np.eye(4))
    assert main(["predict", run, str(tmp_path / "in"), str(tmp_path / "out"), *HERE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert lines[-1] == f"... 11 masks in {tmp_path / 'out'}"


def test_the_help_says_why_a_foreign_bundle_needs_trust(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    assert "its configs are executed" in " ".join(capsys.readouterr().out.split())


def test_a_foreign_bundle_is_executed_only_with_trust(
    cohort: Path, tmp_path: Path, capsys: Capture
) -> None:
    configs = tmp_path / "zoo" / "configs"
    configs.mkdir(parents=True)
    ran = tmp_path / "ran"
    network = f"$__import__('pathlib').Path({str(ran)!r}).touch()"
    text = f'{{"network_def": "{network}", "preprocessing": 1, "inferer": 1}}'
    (configs / "inference.json").write_text(text)
    words = ["predict", str(tmp_path / "zoo"), str(cohort), str(tmp_path / "out")]
    assert main(words) == 2
    assert "--trust" in capsys.readouterr().err
    assert not ran.exists()
    assert main([*words, "--trust"]) == 2, "it has no weights"
    assert ran.exists()
