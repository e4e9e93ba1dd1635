import json
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.cli.bundles import bundles_dir

Capture = pytest.CaptureFixture[str]


def test_the_bundles_are_listed_with_their_task_and_place(capsys: Capture) -> None:
    assert main(["bundles"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == sorted(p.name for p in bundles_dir().iterdir() if p.is_dir())
    assert {"attunet", "unet"} <= set(names)
    for name, line in zip(names, lines, strict=True):
        meta = json.loads((bundles_dir() / name / "metadata.json").read_text())
        assert meta["task"] in line
        assert str(bundles_dir() / name) in line


def test_one_bundle_is_shown_by_its_folder(capsys: Capture) -> None:
    assert main(["bundles", "unet"]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "train.json").is_file()


def test_a_copy_holds_all_files_and_says_how_to_train_it(capsys: Capture, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    assert main(["bundles", "unet", "--copy", str(target)]) == 0
    for file in (bundles_dir() / "unet").iterdir():
        assert (target / file.name).read_bytes() == file.read_bytes()
    assert f"monai.bundle run training --config_file {target}/train.json" in capsys.readouterr().out


def test_nothing_is_written_over(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path, tmp_path / "file"):
        assert main(["bundles", "unet", "--copy", str(target)]) == 2
        assert "is no empty folder" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    (tmp_path / "empty").mkdir()
    assert main(["bundles", "unet", "--copy", str(tmp_path / "empty")]) == 0


def test_an_unknown_bundle_is_refused_with_those_there_are(capsys: Capture) -> None:
    assert main(["bundles", "unett"]) == 2
    assert "attunet" in capsys.readouterr().err
