from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.check import Finding, check_manifest
from pipeline.io import write_nifti
from pipeline.manifests import Manifest, load_manifest

SHAPE = (12, 10, 8)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
AFFINE[:3, 3] = (-11, -9, 0)
LABELS = {"left kidney": 1, "right kidney": 2}
Array = np.ndarray[Any, Any]


@dataclass
class Tiny:
    """Six CT cases without a fault; a test changes what it wants before `load`."""

    folder: Path
    images: dict[str, Array] = field(default_factory=dict)
    labels: dict[str, Array] = field(default_factory=dict)
    affines: dict[str, Array] = field(default_factory=dict)
    label_affines: dict[str, Array] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for n in range(6):
            rng = np.random.default_rng(n)
            image = rng.integers(-20, 80, SHAPE).astype(np.int16)
            image[0] = image[-1] = -1000
            label = np.zeros(SHAPE, np.uint8)
            label[3, 4:6, 3:5] = 1  # x grows with i: left of the middle
            label[8, 4:6, 3:5] = 2
            self.images[f"c{n}"], self.labels[f"c{n}"] = image, label

    def load(self) -> Manifest:
        """Write all files and read the manifest."""
        cases = []
        for n, (name, image) in enumerate(self.images.items()):
            affine = self.affines.get(name, AFFINE)
            write_nifti(self.folder / f"{name}.nii.gz", image, affine)
            write_nifti(
                self.folder / f"{name}_seg.nii.gz",
                self.labels[name],
                self.label_affines.get(name, affine),
            )
            part = "train" if n < 4 else "test"
            case = {"id": name, "image": f"{name}.nii.gz", "label": f"{name}_seg.nii.gz"}
            cases.append(case | {"split": part, "patient": self.patients.get(name, name)})
        raw = {"name": "tiny", "modality": "CT", "labels": LABELS, "cases": cases, **self.raw}
        file = self.folder / "tiny.json"
        file.write_text(json.dumps(raw))
        return load_manifest(file)

    def findings(self) -> tuple[Finding, ...]:
        """What the check says, read in this process."""
        return check_manifest(self.load(), jobs=1, quiet=True).findings


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A set in a folder of its own, with a cache of its own."""
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    return Tiny(folder)


@pytest.fixture
def said() -> Callable[[tuple[Finding, ...]], list[tuple[str, str, str]]]:
    """Case, level and what of findings."""
    return lambda findings: [(f.case, f.level, f.what) for f in findings]
