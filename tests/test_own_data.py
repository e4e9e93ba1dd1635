"""The tutorial, run as it is printed: `docs/own-data.md`."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.io import read_label, write_nifti
from pipeline.phantom import draw_patient, render

PAGE = Path(__file__).parents[1] / "docs" / "own-data.md"
SPACING_MM = (12.0, 12.0, 14.0)
SCANS = 8


def commands() -> list[str]:
    """The lines of the page's first block."""
    block = re.search(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def write_scans(folder: Path) -> None:
    """Small torsos, each with its mask, under names that a clinic would give."""
    for number in range(SCANS):
        rendering = render(draw_patient(500 + number), SPACING_MM)
        for kind, array in (("scans", rendering.image), ("masks", rendering.label)):
            write_nifti(folder / kind / f"P{number:02d}.nii.gz", array, rendering.affine)


def test_the_page_has_seven_commands() -> None:
    assert len(commands()) == 7
    assert all(line.startswith(("unetworks ", "python -m monai.bundle ")) for line in commands())


@pytest.mark.slow
def test_seven_commands_lead_from_scans_to_masks_and_scores(tmp_path: Path) -> None:
    write_scans(tmp_path)
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for line in commands():
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    manifest = json.loads((tmp_path / "own.json").read_text())
    assert manifest["modality"] == "CT"
    held_out = {case["id"] for case in manifest["testing"]}
    assert len(held_out) == 2
    masks = {path.name.split(".")[0]: path for path in (tmp_path / "predicted").glob("*.nii.gz")}
    assert set(masks) == held_out
    for name, path in masks.items():
        truth = read_label(tmp_path / "masks" / f"{name}.nii.gz")
        mask = read_label(path)
        assert mask.shape == truth.shape
        assert set(np.unique(mask.array)) <= {0, *manifest["labels"].values()}
    with (tmp_path / "predicted" / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert held_out <= {row["case"] for row in rows}
