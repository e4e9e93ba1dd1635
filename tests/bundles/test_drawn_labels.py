"""Manifests whose labels are RTSTRUCT or SEG, through the stock commands."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.io import read_image, write_nifti
from pipeline.metrics import read_table
from tests.drawings import drawn_labels, write_drawn_set
from tests.tiny import train


@pytest.mark.parametrize("kind", ["rtstruct", "seg"])
def test_drawings_train_validate_and_are_scored(tmp_path: Path, kind: str) -> None:
    manifest = write_drawn_set(tmp_path / "set", kind)
    # without memory for them, prepared cases are kept on disk by what their label is made of
    made = train(tmp_path, manifest, cache_gb=1e-9 if kind == "seg" else None)
    assert made.code == 0, made.err
    labels = drawn_labels()
    rows = read_table(made.run / "scores.csv")
    assert [row.case for row in rows] == ["c4", "c4", "c5", "c5"]
    for row in rows:
        voxels = np.count_nonzero(labels[int(row.case[1])] == {"organ": 1, "lesion": 4}[row.name])
        assert row.volume_label_ml == pytest.approx(voxels * 1.5 / 1000, rel=1e-3)
    assert sorted(p.name for p in (made.run / "pictures").glob("test-*")) == [
        "test-c4.png",
        "test-c5.png",
    ]


def test_masks_are_scored_against_drawings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_drawn_set(tmp_path / "set", "rtstruct", ("train", "test", "test"))
    for number, label in enumerate(drawn_labels(("train", "test", "test"))):
        affine = read_image(tmp_path / "set" / f"c{number}" / "ct").affine
        assert affine is not None
        if number:
            write_nifti(tmp_path / "masks" / f"c{number}.nii.gz", label, affine)
    assert main(["score", str(tmp_path / "masks"), str(manifest)]) == 0
    rows = read_table(tmp_path / "masks" / "scores.csv")
    assert [(row.case, row.dice) for row in rows] == [("c1", 1.0)] * 2 + [("c2", 1.0)] * 2
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["rtstruct", "seg"])
def test_other_commands_take_a_set_of_drawings(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_drawn_set(tmp_path / "set", kind)
    assert main(["check", str(manifest), "--jobs", "1", "--quiet"]) == 0
    assert "0 errors" in capsys.readouterr().out
    assert main(["data", "plan", str(manifest)]) == 0
    assert "lesion" in capsys.readouterr().out
