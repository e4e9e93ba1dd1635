"""A set of a few small cases, stock commands on it in this process, and runs that tests share."""

import contextlib
import copy
import functools
import io
import json
import logging
import random
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
import torch

from pipeline.bundles.guard import refusal
from pipeline.io import write_nifti, write_picture
from pipeline.tracking.query import RunBook, RunRecord
from pipeline.tracking.store import open_client, resolve_uri

ROOT = Path(__file__).parents[1]
ATTUNET = ROOT / "bundles" / "attunet"
PARTS = ("train", "train", "train", "val", "test", "test")
SHAPE = (20, 22, 14)
FAST = {"max_epochs": 2, "epoch_length": 2, "patch": [24, 24, 16], "batch_size": 2}
FLAT = {**FAST, "patch": [16, 16], "spatial_dims": 2}
KINDS: dict[str, dict[str, Any]] = {
    "labels": {"labels": {"organ": 1, "lesion": 4}},
    "regions": {"regions": {"whole": [1, 4], "core": [4]}},
    "single": {"labels": {"organ": 1}, "head": "sigmoid"},
}


def write_set(
    folder: Path, kind: str = "labels", parts: tuple[str, ...] = PARTS, pictures: bool = False
) -> Path:
    """Write cases with a box inside a box, and a manifest; return the manifest's path."""
    rng = np.random.default_rng(7)
    cases = []
    for number, part in enumerate(parts):
        name = f"c{number}{'.png' if pictures else '.nii.gz'}"
        image, label = drawn(rng, SHAPE[:2] if pictures else SHAPE)
        if kind == "single":
            label = np.minimum(label, 1)
        if pictures:
            write_picture(folder / "images" / name, np.clip(image / 4 + 100, 0, 255).astype("u1"))
            write_picture(folder / "labels" / name, label)
        else:
            affine = np.diag([1.0, 1.0, 1.5, 1.0])
            write_nifti(folder / "images" / name, image, affine)
            write_nifti(folder / "labels" / name, label, affine)
        cases.append({"image": f"images/{name}", "label": f"labels/{name}", "split": part})
    content = {"name": "tiny", "modality": "photograph" if pictures else "CT", **KINDS[kind]}
    path = folder / "tiny.json"
    path.write_text(json.dumps({**content, "cases": cases}))
    return path


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """One case: image int16 and label uint8."""
    label = np.zeros(shape, np.uint8)
    corner = rng.integers(1, 7, len(shape))
    label[tuple(slice(c, c + 10) for c in corner)] = 1
    label[tuple(slice(c + 3, c + 7) for c in corner)] = 4
    image = rng.normal(0, 20, shape) + 100 * np.minimum(label, 1) + 50 * (label == 4)
    return image.round().astype(np.int16), label


@dataclass(frozen=True)
class Outcome:
    """What a command printed, the exit code, and the folder it ran in."""

    folder: Path
    out: str
    err: str
    code: int
    error: BaseException | None = None

    @property
    def runs(self) -> list[Path]:
        """Folders of runs below the current folder, oldest first."""
        found = [p.parent for p in (self.folder / "runs").glob("*/*/configs")]
        return sorted(found, key=lambda p: p.stat().st_mtime)

    @property
    def run(self) -> Path:
        """The only run's folder."""
        (run,) = self.runs
        return run

    @property
    def line(self) -> str:
        """The one line of a refusal."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        if not lines and (found := refusal(self.error)) is not None:
            lines = [f"error: {found.line()}"]  # what the hook for uncaught exceptions prints
        assert len(lines) == 1, self.err
        return lines[0]


def stock(folder: Path, run_id: str, config: Path, **overrides: Any) -> Outcome:
    """Run the stock command in `folder` as `python -m monai.bundle run` would."""
    database(folder)
    out, err = io.StringIO(), io.StringIO()
    code = 0
    error: BaseException | None = None
    # a run may be handed the lists of a constant
    given = copy.deepcopy(overrides)
    with contextlib.chdir(folder), kept_state(), contextlib.redirect_stdout(out):  # noqa: SIM117
        with contextlib.redirect_stderr(err):
            try:
                monai.bundle.run(run_id, config_file=str(config), **given)
            except SystemExit as end:
                code, error = int(end.code or 0), end
            except RuntimeError as end:
                if refusal(end) is None:
                    raise
                code, error = 2, end
    return Outcome(folder, out.getvalue(), err.getvalue(), code, error)


def train(folder: Path, manifest: Path, **overrides: Any) -> Outcome:
    """Train the committed 3D bundle for two epochs of two updates, unless told otherwise."""
    settings = {**FAST, "manifest": str(manifest), **overrides}
    return stock(folder, "training", ATTUNET / "train.json", **settings)


@contextlib.contextmanager
def kept_state() -> Iterator[None]:
    """Give back what a bundle's run changes in the process: logging, random state, cudnn."""
    root, ours = logging.getLogger(), logging.getLogger("unetworks")
    before = [(log, log.level, list(log.handlers), log.propagate) for log in (root, ours)]
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        for log, level, handlers, propagate in before:
            log.setLevel(level)
            log.handlers[:], log.propagate = handlers, propagate
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn


@functools.cache
def empty_database() -> bytes:
    """An empty tracking database: MLflow takes seconds to build one."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder) / "mlflow.db"
        open_client(resolve_uri(f"sqlite:///{file}"))
        return file.read_bytes()


def database(folder: Path) -> str:
    """Put an empty tracking database where a run in `folder` looks for it; return its address."""
    file = folder / "runs" / "mlflow.db"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(empty_database())
    return f"sqlite:///{file}"


def tracked(folder: Path) -> list[RunRecord]:
    """The tracked runs of `folder`."""
    return RunBook(f"sqlite:///{folder}/runs/mlflow.db").runs


def shared_set(base: Path, kind: str = "labels", pictures: bool = False) -> Path:
    """A set that no test changes."""
    folder = base / f"set-{kind}-{pictures}"
    return folder / "tiny.json" if folder.exists() else write_set(folder, kind, pictures=pictures)


def shared_run(base: Path, kind: str = "labels", dims: int = 3, pictures: bool = False) -> Outcome:
    """A finished training that no test changes."""
    return _run(base, kind, dims, pictures)


@functools.cache
def _run(base: Path, kind: str, dims: int, pictures: bool) -> Outcome:
    folder = base / f"run-{kind}-{dims}-{pictures}"
    settings = {"spatial_dims": 2, "patch": [16, 16]} if dims == 2 else {}
    return train(folder, shared_set(base, kind, pictures), **settings)


def moved(run: Path, target: Path) -> Path:
    """Copy a run's folder elsewhere, where neither its manifest nor its data are."""
    return Path(shutil.copytree(run, target))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what tests share: one for this process, however many modules ask."""
    folder = tmp_path_factory.getbasetemp() / "tiny"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def tiny(base: Path) -> Path:
    """Manifest of six small volumes: three to train, one to choose, two to report."""
    return shared_set(base)


@pytest.fixture(scope="session")
def trained(base: Path) -> Outcome:
    """A finished 3D training."""
    return shared_run(base)
