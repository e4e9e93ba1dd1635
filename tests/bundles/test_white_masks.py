"""Row I11 from the check to the scores: masks of 0 and 255 for one class of integer 1."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.io import read_label, write_picture
from pipeline.metrics import read_table
from tests.tiny import FLAT, train, write_set


@pytest.fixture
def white(tmp_path: Path) -> Path:
    manifest = write_set(tmp_path / "set", "single", pictures=True)
    for file in (tmp_path / "set" / "labels").iterdir():
        write_picture(file, 255 * read_label(file).array)
    content = json.loads(manifest.read_text())
    assert content["labels"] == {"organ": 1}
    return manifest


def test_i11_is_accepted_for_a_binary_task_and_told_once(
    white: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(white), "--jobs", "1", "--quiet"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "255" in line]
    assert len(told) == 1
    assert "white masks" in told[0]
    assert "0 and 255 in 6 of 6: 255 is taken for organ" in told[0]

    made = train(tmp_path, white, **FLAT)
    assert made.code == 0, made.err
    assert made.err.count("255 is taken for the only class") == 1
    rows = read_table(made.run / "scores.csv")
    assert {row.state for row in rows} <= {"present", "missed"}
    facts = json.loads((made.run / "models" / "model.json").read_text())["facts"]
    assert facts["shares"][1] > 0.1


def test_i11_is_told_once_by_score(
    white: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (tmp_path / "set" / "labels").glob("c[45].png"):
        write_picture(tmp_path / "masks" / file.name, np.minimum(read_label(file).array, 1))
    assert main(["score", str(tmp_path / "masks"), str(white)]) == 0
    err = capsys.readouterr().err
    assert err.count("255 is taken for the only class") == 1
    assert {row.dice for row in read_table(tmp_path / "masks" / "scores.csv")} == {1.0}
