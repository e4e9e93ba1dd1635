import argparse
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.cli import data

PROGRAM = """
import argparse, sys
from pipeline.cli import data
parser = argparse.ArgumentParser()
data.register(parser)
code = data.run(parser.parse_args(sys.argv[1:]))
heavy = {"torch", "monai", "ignite", "mlflow"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


def call(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    data.register(parser)
    return data.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five MR-like cases, one image without label and a text file."""
    monkeypatch.setenv("UNETWORKS_DATA", str(tmp_path / "none"))
    array = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    for n in range(6):
        for kind, values in (("i", array), ("l", (array > 20).astype(np.uint8))):
            if (kind, n) != ("l", 5):
                (tmp_path / kind).mkdir(exist_ok=True)
                image = nib.Nifti1Image(values, np.eye(4))  # type: ignore[no-untyped-call]
                nib.save(image, tmp_path / kind / f"c{n}.nii.gz")
    (tmp_path / "i" / "notes.txt").write_text("x")
    return tmp_path


def test_list_shows_what_there_is_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNETWORKS_DATA", str(tmp_path))
    assert call("list") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["name", "modality", "dims", "cases", "labels", "licence", "where"]
    row = next(line for line in lines if line.startswith("nuclei"))
    assert "microscopy" in row
    assert "2D" in row
    assert f"missing; expected in {tmp_path / 'nuclei'}" in row
    assert not err


def test_every_manifest_has_a_line_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.manifests.place import names

    monkeypatch.setenv("UNETWORKS_DATA", str(tmp_path))
    assert call("list") == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:]] == names()
    assert len(names()) >= 20
    assert "spleen, kidney_right, kidney_left, gallbladder, ... (117)" in out
    assert not err


def test_fetch_says_what_it_saw_and_what_the_licence_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNETWORKS_DATA", str(tmp_path / "data"))
    archive = tmp_path / "stage1_train.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("ab/images/ab.png", "i")
        packed.writestr("ab/masks/1.png", "m")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert call("fetch", "dsb2018", "--archive", archive, "--quiet") == 0
    out, err = capsys.readouterr()
    folder = tmp_path / "data" / "dsb2018"
    assert out == f"dsb2018: 1 cases in {folder}\n"
    assert f"stage1_train.zip: sha256:{digest} (the publisher states no checksum)" in err
    assert "licence: CC0 1.0" in err
    assert "cite: J. C. Caicedo" in err
    assert (folder / "stage1_train" / "ab" / "masks" / "1.png").read_text() == "m"
    assert call("fetch", "dsb2018") == 0
    assert "was there already" in capsys.readouterr().out


def test_new_says_what_it_paired_guessed_and_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "set.json"
    assert call("new", folder / "i", folder / "l", "-o", file) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{file}: 5 cases, 2 files left alone",
        f"next: unetworks data plan {file}",
    ]
    assert "c0: c0.nii.gz with c0.nii.gz" in err
    assert "c5.nii.gz: no label of that name" in err
    assert "notes.txt: no image that is read here" in err
    assert "guessed the modality MR" in err
    assert "3 cases train, 1 choose the weights (val), 1 are only reported (test)" in err


def test_new_keeps_an_existing_file_unless_forced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.errors import InvalidValueError

    file = folder / "set.json"
    file.write_text("mine")
    with pytest.raises(InvalidValueError, match="exists"):
        call("new", folder / "i", folder / "l", "-o", file)
    assert file.read_text() == "mine"
    assert not capsys.readouterr().err
    call("new", folder / "i", folder / "l", "-o", file, "--force", "--name", "own")
    assert json.loads(file.read_text())["name"] == "own"


def test_split_writes_folds_into_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "set.json"
    call("new", folder / "i", folder / "l", "-o", file)
    capsys.readouterr()
    assert call("split", file, "--folds", "2", "--seed", "3") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file}: 2 folds hold out 2, 2 cases",
        "with label_1: 2, 2",
    ]
    assert len(json.loads(file.read_text())["folds"]) == 2


def test_no_action_but_plan_imports_torch(folder: Path) -> None:
    file = folder / "set.json"
    for words in (
        ["list"],
        ["new", str(folder / "i"), str(folder / "l"), "-o", str(file)],
        ["split", str(file), "--folds", "2"],
    ):
        environment = {**os.environ, "UNETWORKS_CACHE": str(folder / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            capture_output=True,
            text=True,
            env=environment,
            cwd=Path(data.__file__).parents[2],
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_plan_prints_facts_plan_and_what_it_needs_here(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "set.json"
    call("new", folder / "i", folder / "l", "-o", file)
    capsys.readouterr()
    assert call("plan", file, "--preset", "compact", "--spatial_dims", "2") == 0
    out = capsys.readouterr().out
    assert "modality                 MR" in out
    assert "plan, compact 2D:" in out
    assert "values have no common unit" in out
    assert "expected on this machine, attunet, compact 2D:" in out
    assert "GiB of " in out
    assert "s per update, " in out


def test_plan_shows_both_presets_in_3d_and_2d_unless_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "set.json"
    call("new", folder / "i", folder / "l", "-o", file)
    capsys.readouterr()
    assert call("plan", file, "--markdown", "--bundle", "unet") == 0
    out = capsys.readouterr().out
    for name in ("compact 3D", "full 3D", "compact 2D", "full 2D"):
        assert name in out
    assert "| normalisation | all | zscore |" in out
    assert "GiB" not in out


def test_plan_of_an_unknown_bundle_names_those_that_exist(folder: Path) -> None:
    from pipeline.errors import UnknownNameError

    with pytest.raises(UnknownNameError, match="no bundle 'unte'") as caught:
        call("plan", folder / "set.json", "--bundle", "unte")
    assert "unetpp" in caught.value.hint
