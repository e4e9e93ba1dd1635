"""Rows D43 and D46: a CT whose values are not HU, where a window in HU is planned."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from tests.drawings import write_drawn_set, write_series
from tests.tiny import Outcome, base, tiny, train, trained

__all__ = ["base", "tiny", "trained"]  # fixtures


def test_d46_a_training_with_a_window_is_refused_in_one_line_and_zscore_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_drawn_set(tmp_path / "set", "seg", RescaleType="US")
    ended = train(tmp_path, manifest)
    assert ended.code == 2
    assert "a CT whose values are not HU (RescaleType US)" in ended.line
    assert "--normalisation zscore trains without a window" in ended.line
    assert not list((tmp_path / "runs").glob("attunet/*"))
    assert main(["check", str(manifest), "--jobs", "1", "--quiet"]) == 0
    assert capsys.readouterr().out.count("CT not in HU") == 6
    done = train(tmp_path, manifest, normalisation="zscore", max_epochs=1)
    assert done.code == 0, done.err


def test_d43_a_prediction_is_refused_unless_it_is_forced(
    trained: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hu = np.zeros((20, 22, 14), np.int16)
    scan = write_series(tmp_path / "ct", hu, without=("RescaleSlope", "RescaleIntercept"))
    words = ["predict", str(trained.run), str(scan), str(tmp_path / "out.nii.gz"), "--quiet"]
    assert main(words) == 2
    line = capsys.readouterr().err.strip()
    assert line.startswith("error: ")
    assert "a CT whose values are not HU (no rescale)" in line
    assert "--force-modality predicts all the same" in line
    assert not (tmp_path / "out.nii.gz").exists()
    assert main([*words, "--force-modality"]) == 0
    assert (tmp_path / "out.nii.gz").exists()
