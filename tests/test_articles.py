"""`docs/articles.md`: each pipeline runs as printed, on small sets of the layout it names."""

import contextlib
import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
from fire.parser import DefaultParseValue
from numpy.typing import NDArray
from PIL import Image

from pipeline.cli import main
from pipeline.io import read_image, read_label, write_nifti
from pipeline.manifests import load_manifest
from pipeline.transforms.depth import depth_range
from tests.tiny import database, kept_state

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "articles.md").read_text()
FILES = sorted((ROOT / "docs" / "articles").glob("*.json"))
SHORT = {"max_epochs": 1, "epoch_length": 2}  # the only change to what is printed
OBLIQUE = np.array([[-1.9, 0, 0, 70], [0, -1.9, 0.1, 60], [0, 0.1, 4.9, -20], [0, 0, 0, 1]])
TUMOUR_SLICES = (7, 9)


def section(number: str) -> str:
    """The text below a heading."""
    return PAGE.split(f"\n## {number}:", 1)[1].split("\n## ", 1)[0]


def blocks(number: str, language: str = "") -> list[str]:
    """The fenced blocks of a section."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", section(number), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def run_line(command: str, variables: dict[str, str]) -> None:
    """Run one printed line in this process, in the current folder."""
    for name, value in variables.items():
        command = command.replace(f"${name}", value)
    words = shlex.split(command)
    if words[0] == "unetworks":
        assert main([*words[1:], "--quiet"] if words[1] == "predict" else words[1:]) == 0, command
        return
    assert words[:5] == ["python", "-m", "monai.bundle", "run", "training"], command
    given = {
        name.removeprefix("--"): DefaultParseValue(value)
        for name, value in zip(words[5::2], words[6::2], strict=True)
    }
    with kept_state():
        monai.bundle.run("training", **{**given, **SHORT})


def run_section(number: str, folder: Path) -> None:
    """Run all commands of a section in a folder that looks like a clone."""
    for name in ("bundles", "docs"):
        (folder / name).symlink_to(ROOT / name)
    database(folder)
    with contextlib.chdir(folder):
        for command in "".join(blocks(number)).splitlines():
            run_line(command, {"UNETWORKS_DATA": str(folder / "data")})


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNETWORKS_DATA", str(tmp_path / "data"))
    return tmp_path


def blob(rng: np.random.Generator, *shape: int) -> NDArray[np.bool_]:
    """A disc or a ball somewhere in the middle."""
    centre = [rng.uniform(0.4, 0.6) * n for n in shape]
    radius = 0.25 * min(shape)
    grid = np.meshgrid(*map(np.arange, shape), indexing="ij")
    distance = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
    return np.asarray(distance < radius**2)


def save_gif(path: Path, mask: NDArray[np.bool_]) -> None:
    """As Carvana's: a palette of black and white."""
    image = Image.fromarray(mask.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(path)


def config(run: Path, kind: str = "train") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((run / "configs" / f"{kind}.json").read_text())
    return loaded


@pytest.mark.slow
def test_000_trains_the_plain_network_on_carvana_and_writes_its_masks(clone: Path) -> None:
    rng = np.random.default_rng(0)
    data = clone / "data" / "carvana"
    for folder in ("train", "train_masks"):
        (data / folder).mkdir(parents=True)
    sides = {"5b1c": ("01", "02"), "ff03": ("07", "16"), "2aaa": ("01",), "0d4e": ("09",)}
    for car, names in sides.items():
        for side in names:
            mask = blob(rng, 40, 56)
            picture = rng.integers(0, 60, (40, 56, 3)) + 150 * mask[..., None]
            Image.fromarray(picture.astype(np.uint8)).save(data / "train" / f"{car}_{side}.jpg")
            save_gif(data / "train_masks" / f"{car}_{side}_mask.gif", mask)
    run_section("000", clone)
    run = clone / "runs" / "article-000"
    assert config(run)["bundle"] == "unet_plain"
    (path,) = (run / "masks").glob("*.png")
    assert path.name == "0d4e_09.png"
    mask = np.asarray(Image.open(path))
    assert mask.shape == (40, 56)
    assert set(np.unique(mask)) <= {0, 255}
    manifest = load_manifest("docs/articles/carvana.json")
    assert {c.patient: c.part for c in manifest.cases} == {
        "5b1c": "train", "ff03": "train", "2aaa": "val", "0d4e": "test"
    }  # fmt: skip


def liver_case(rng: np.random.Generator, folder: Path, name: str) -> None:
    """A body with a liver, and in three slices of it a tumour."""
    shape = (48, 40, 20)
    label = np.zeros(shape, np.uint8)
    label[8:30, 8:30, 3:17] = 1
    label[14:24, 12:22, TUMOUR_SLICES[0] : TUMOUR_SLICES[1] + 1] = 2
    image = rng.normal(0, 12, shape) + np.array([-100, 110, 60])[label]
    write_nifti(folder / "imagesTr" / f"{name}.nii.gz", image.round().astype(np.int16), OBLIQUE)
    write_nifti(folder / "labelsTr" / f"{name}.nii.gz", label, OBLIQUE)


@pytest.mark.slow
def test_001_trains_on_the_tumours_slices_and_predicts_whole_scans(clone: Path) -> None:
    data = clone / "data" / "Task03_Liver"
    rng = np.random.default_rng(1)
    for number in (0, 1, 12, 8, 9):
        liver_case(rng, data, f"liver_{number}")
    run_section("001", clone)
    run = clone / "runs" / "article-001"
    frozen = config(run, "inference")["plan"]
    assert frozen["contrast"] == "equalise"
    assert frozen["window"] == [[15.0, 165.0]]
    assert config(run)["train"]["deterministic_transforms"][-1]["margin"] == 10
    single = read_label(run / "tumour_9.nii.gz")
    assert single.array.shape == (48, 40, 20)
    assert single.affine == pytest.approx(OBLIQUE, abs=1e-4)
    assert set(np.unique(single.array)) <= {0, 2}
    whole = read_label(run / "masks" / "liver_9.nii.gz")
    assert np.array_equal(whole.array, single.array)
    with (run / "scores.csv").open() as file:
        assert {row["class"] for row in csv.DictReader(file)} >= {"tumour"}


def test_001_the_tumours_are_taken_out_of_the_labels_with_their_affine(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = clone / "data" / "Task03_Liver"
    for number in (0, 8, 9):
        liver_case(np.random.default_rng(2), data, f"liver_{number}")
    (clone / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(clone)
    (block,) = blocks("001", "python")
    exec(compile(block, "articles.md", "exec"), {})  # the page's own code
    saved = sorted((clone / "runs" / "tumours").iterdir())
    assert [p.name for p in saved] == [f"liver_{n}_tumour.nii.gz" for n in (0, 8, 9)]
    tumour = read_label(saved[0])
    label = read_label(data / "labelsTr" / "liver_0.nii.gz")
    assert np.array_equal(tumour.array, np.equal(label.array, 2))
    assert tumour.affine == pytest.approx(label.affine, abs=1e-5)
    assert depth_range(tumour.array) == (TUMOUR_SLICES[0], TUMOUR_SLICES[1] + 1)


@pytest.mark.slow
def test_002_trains_with_bce_and_iou_on_grey_coloured_and_deep_pictures(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    data = clone / "data" / "nuclei"
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
    names = ["dark", "light", "coloured", "deep", "held"]
    for name in names:
        mask = blob(rng, 48, 48)
        picture = rng.integers(0, 40, mask.shape) + 180 * mask
        if name == "light":
            picture = 255 - picture
        if name == "coloured":
            picture = np.stack([picture] * 3, axis=-1)
        dtype, factor = (np.uint16, 257) if name == "deep" else (np.uint8, 1)
        Image.fromarray((picture * factor).astype(dtype)).save(data / "images" / f"{name}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(data / "masks" / f"{name}.png")
    (data / "splits.json").write_text(json.dumps({"train": names[:-1], "test": names[-1:]}))
    run_section("002", clone)
    run = clone / "runs" / "article-002"
    assert config(run)["loss"]["_target_"] == "pipeline.losses.BCEIoULoss"
    assert config(run, "inference")["plan"]["channels"] == 3
    assert read_image(run / "masks" / "held.png").array.shape == (48, 48)
    assert "surface dice" in capsys.readouterr().out
    found, wanted = (np.greater(read_image(p).array, 0) for p in (
        run / "masks" / "held.png", data / "masks" / "held.png"
    ))  # fmt: skip
    with (run / "masks" / "scores.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["case"] == "held")
    assert float(row["iou"]) == pytest.approx(
        (found & wanted).sum() / (found | wanted).sum(), abs=1e-3
    )


@pytest.mark.parametrize("path", FILES, ids=[p.name for p in FILES])
def test_the_page_names_every_file_and_shows_the_configs_as_they_are(path: Path) -> None:
    assert f"articles/{path.name}" in PAGE
    if "cases" not in json.loads(path.read_text()):
        assert f"```json\n{path.read_text()}```" in PAGE
