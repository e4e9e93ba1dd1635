"""The wheel carries bundles and manifests: outside of the clone it lists, trains and predicts."""

import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.tiny import ROOT, base, database, shared_set

__all__ = ["base"]
SOURCES = ("pipeline", "bundles", "data_manifests")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


def ran(folder: Path, *command: str) -> str:
    """Run a command in `folder` without anything of the clone; return what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves folders beside its sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    ran(copy, *pip, "--no-index", "--wheel-dir", str(out), str(copy))
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with the wheel and this one's libraries."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    (packages,) = folder.glob("lib/python*/site-packages")
    pip = (sys.executable, "-m", "pip", "--python", str(programs / "python"), "install")
    ran(folder, *pip, "--quiet", "--no-deps", "--no-index", str(wheel))
    # the libraries come after the wheel on the path, and the clone's own link stays out
    mine = [path for path in site.getsitepackages() if Path(path).is_dir()]
    (packages / "libraries.pth").write_text("".join(f"{path}\n" for path in mine))
    return programs


def test_the_wheel_holds_bundles_and_manifests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for part in ("bundles", "data_manifests"):
        for path in (ROOT / part).rglob("*"):
            if path.is_file():
                assert f"pipeline/_data/{path.relative_to(ROOT)}" in names
    assert "pipeline/bundlegen/sources/attunet.json" in names
    assert "pipeline/py.typed" in names


@pytest.mark.slow
def test_an_installed_wheel_lists_trains_and_predicts(
    installed: Path, base: Path, tmp_path: Path
) -> None:
    where = ran(
        tmp_path, str(installed / "python"), "-c", "import pipeline; print(pipeline.__file__)"
    )
    assert Path(where.strip()).is_relative_to(installed.parent)
    unetworks = str(installed / "unetworks")
    assert "attunet" in ran(tmp_path, unetworks, "bundles")
    assert "phantom" in ran(tmp_path, unetworks, "data", "list")
    ran(tmp_path, unetworks, "bundles", "attunet", "--copy", str(tmp_path / "mine"))
    (config,) = (tmp_path / "mine").rglob("train.json")
    database(tmp_path)
    printed = ran(
        tmp_path, str(installed / "python"), "-m", "monai.bundle", "run", "training",
        "--config_file", str(config), "--manifest", str(shared_set(base)), "--max_epochs", "1",
        "--epoch_length", "2", "--patch", "[24,24,16]", "--batch_size", "2",
    )  # fmt: skip
    assert "mean Dice" in printed
    (run,) = (tmp_path / "runs" / "attunet").iterdir()
    image = shared_set(base).parent / "images" / "c4.nii.gz"
    ran(tmp_path, unetworks, "predict", str(run), str(image), str(tmp_path / "m.nii.gz"))
    assert (tmp_path / "m.nii.gz").is_file()
