"""Masks from files over their scans."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.errors import DataError, GeometryError
from pipeline.figures.laid_over import lay_over
from pipeline.io import read_image, write_nifti, write_picture

AFFINE = np.diag([1.5, 1.5, 3.0, 1.0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    scan = rng.integers(-100, 100, (20, 18, 9)).astype(np.int16)
    mask = np.zeros(scan.shape, np.uint8)
    mask[5:12, 4:11, 2:7] = 3
    write_nifti(tmp_path / "scan.nii.gz", scan, AFFINE)
    write_nifti(tmp_path / "mask.nii.gz", mask, AFFINE)
    write_nifti(tmp_path / "other.nii.gz", np.roll(mask, 2, 0), AFFINE)
    return tmp_path


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def coloured(path: Path) -> int:
    """Pixels that are not grey."""
    found = pixels(path)
    return int((found.max(-1) - found.min(-1) > 40).sum())


def test_a_mask_is_drawn_in_colour_over_its_scan(folder: Path) -> None:
    scan = folder / "scan.nii.gz"
    lay_over(read_image(scan), folder / "mask.nii.gz", folder / "page.png")
    assert coloured(folder / "page.png") > 2000


def test_the_command_draws_mask_and_reference(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: str(folder / f"{name}.nii.gz") for name in ("scan", "mask", "other")}
    pages = [folder / "one.png", folder / "two.png"]
    assert main(["inspect", files["scan"], "--mask", files["mask"], "-o", str(pages[0])]) == 0
    words = ["--mask", files["mask"], "--reference", files["other"]]
    assert main(["inspect", files["scan"], *words, "-o", str(pages[1])]) == 0
    assert str(pages[1]) in capsys.readouterr().out
    assert pixels(pages[1]).shape[0] > pixels(pages[0]).shape[0]  # a row more


def test_names_come_from_the_json_beside_the_mask(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def noted(*args: Any, **_: Any) -> Path:
        seen.append(args[3])
        return Path(args[4])

    monkeypatch.setattr("pipeline.figures.laid_over.overlay", noted)
    scan, mask = read_image(folder / "scan.nii.gz"), folder / "mask.nii.gz"
    lay_over(scan, mask, folder / "page.png")
    (folder / "mask.json").write_text(json.dumps({"labels": {"liver": 3}}))
    lay_over(scan, mask, folder / "page.png")
    assert seen == [{"3": 3}, {"liver": 3}]
    (folder / "mask.json").write_text("[")
    with pytest.raises(DataError, match=r"mask\.json is no CASE\.json"):
        lay_over(scan, mask, folder / "page.png")


def test_a_mask_of_another_grid_is_refused(folder: Path) -> None:
    scan = read_image(folder / "scan.nii.gz")
    moved = AFFINE.copy()
    moved[0, 3] = 4.0
    write_nifti(folder / "moved.nii.gz", np.ones((20, 18, 9), np.uint8), moved)
    write_nifti(folder / "small.nii.gz", np.ones((20, 18, 8), np.uint8), AFFINE)
    write_picture(folder / "flat.png", np.ones((20, 18), np.uint8))
    for name, what in (
        ("moved.nii.gz", "2.67 voxels"),
        ("small.nii.gz", "size"),
        ("flat.png", "size"),
    ):
        with pytest.raises(GeometryError, match=what):
            lay_over(scan, folder / name, folder / "page.png")
    assert not (folder / "page.png").exists()


@pytest.mark.parametrize(
    "words", [["--mask", "mask.nii.gz"], ["--reference", "mask.nii.gz", "-o", "page.png"]]
)
def test_half_of_what_is_needed_is_refused(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(folder / "scan.nii.gz"), *words]) == 2
    assert "give -" in capsys.readouterr().err


def test_pictures_are_laid_over_too(folder: Path) -> None:
    picture = np.full((40, 50), 90, np.uint8)
    mask = np.zeros((40, 50), np.uint8)
    mask[10:30, 10:40] = 255
    write_picture(folder / "scan.png", picture)
    write_picture(folder / "mask.png", mask)
    lay_over(read_image(folder / "scan.png"), folder / "mask.png", folder / "page.png")
    assert coloured(folder / "page.png") > 2000
    # a prediction's only class is white in the file and 1 in its JSON
    (folder / "mask.json").write_text(json.dumps({"labels": {"nucleus": 1}}))
    lay_over(read_image(folder / "scan.png"), folder / "mask.png", folder / "again.png")
    assert coloured(folder / "again.png") > 2000
