import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.cli.predict import options_of, register
from pipeline.io import Reading, write_nifti
from pipeline.predict import Options, Outcome, SegmentOptions
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


def test_every_option_is_passed_on(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    register(parser)
    words = [
        "run", "in", "out", "--series", "2", "--phase", "EchoTime=4.6", "--range", "3",
        "--regularize", "--affine", "qform", "--force-modality", "--cases", "all",
        "--dataset_dir", "data", "--fold", "1", "--overlap", "0.25", "--mirror", "--level", "2",
        "--body-box", "lattice", "--engine", "openvino", "--precision", "int8",
        "--agreement", "0.9", "0.8", "--resample", "logits", "--postprocess", "steps.json",
        "--again", "--device", "cpu", "--max-ram", "8", "--jobs", "2", "--cluster", "ray",
        "--quiet", "--probabilities", "liver", "spleen",
    ]  # fmt: skip
    assert options_of(parser.parse_args(words)) == Options(
        device="cpu",
        how=SegmentOptions(
            overlap=0.25,
            mirror=True,
            level="2",
            probabilities=("liver", "spleen"),
            resample="logits",
            body_box="lattice",
            max_ram_gib=8.0,
            engine="openvino",
            precision="int8",
            agreement=(0.9, 0.8),
            force_modality=True,
        ),
        reading=Reading(series=2, phase="EchoTime=4.6", part=3, regularize=True, affine="qform"),
        cases="all",
        dataset_dir="data",
        fold=1,
        postprocess="steps.json",
        jobs=2,
        cluster="ray",
        again=True,
        quiet=True,
    )


def test_without_options_a_cohort_has_a_process_of_its_own() -> None:
    parser = argparse.ArgumentParser()
    register(parser)
    chosen = options_of(parser.parse_args(["run", "in", "out"]))
    assert chosen.tell is not None
    assert replace(chosen, tell=None) == Options(jobs=1, reading=Reading())


def test_how_a_case_is_computed_is_told_once(
    run: str, cohort: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = ["predict", run, str(cohort), str(tmp_path / "out"), "--jobs", "0", "--max-ram", "64"]
    assert main(words) == 0
    lines = capsys.readouterr().err.splitlines()
    assert any("GiB" in line for line in lines), "the plan of the memory"
    assert len(lines) == len(set(lines))
    assert main(words) == 0
    assert capsys.readouterr().err == "2 done before; --again predicts them anew\n"


def test_post_processing_is_a_file(run: str, cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "steps.json").write_text('{"organ": {"minimum_mm3": 1e9}}')
    words = ["predict", run, str(cohort / "a.nii.gz"), str(tmp_path / "out"), "--quiet"]
    assert main([*words, "--postprocess", str(tmp_path / "steps.json")]) == 0
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["counts"]["organ"]["voxels"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--overlap", "1"], "overlap is 1.0"),
        (["--device", "gpu"], "device is 'gpu'"),
        (["--max-ram", "0"], "the memory limit is 0.0 GiB"),
        (["--max-ram", "inf"], "the memory limit is inf GiB"),
        (["--jobs", "-1"], "-1 jobs"),
        (["--level", "7"], "level is '7'"),
        (["--postprocess", "none.json"], "none.json: no JSON"),
        (["--series", "2"], "--series is for DICOM"),
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


def test_a_warning_names_its_cases_once(
    run: str, cohort: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = Outcome(warnings=[*((f"c{n}", "odd") for n in range(7)), ("c1", "tilted")])
    monkeypatch.setattr("pipeline.predict.predict", lambda *_: outcome)
    assert main(["predict", run, str(cohort), str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: c0, c1, c2, c3, c4 and 2 more: odd",
        "warning: c1: tilted",
    ]
