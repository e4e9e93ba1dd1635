"""Cohorts of small scans, and a run whose network other processes can build."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.bundles.export import write_model
from pipeline.io import write_nifti
from pipeline.networks import build_network
from tests.threshold import facts_of, plan_of

WIDTHS = [2, 2, 2]


def write_unet(folder: Path) -> Path:
    """Write a run of a tiny U-Net with random weights, always the same."""
    torch.manual_seed(7)
    plan = plan_of(patch=[16, 16, 16], network={"widths": WIDTHS})
    state = build_network("unet", 3, 1, 3, widths=WIDTHS).state_dict()
    write_model(folder, state, {"bundle": "unet"}, facts_of(), plan)
    return folder


def write_scans(folder: Path, count: int, size: int = 20) -> Path:
    """Write scans `c0`, `c1`, ... of HU at random."""
    for number in range(count):
        values = np.random.default_rng(number).integers(-100, 300, (size, size + 1, size - 2))
        write_nifti(folder / f"c{number}.nii.gz", values.astype(np.int16), np.diag([-1.0, 1, 2, 1]))
    return folder


def ledger(folder: Path) -> list[dict[str, Any]]:
    """The lines of a ledger, in their order."""
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def states(folder: Path) -> list[tuple[str, str]]:
    """Case and state of each line."""
    return [(line["case"], line["state"]) for line in ledger(folder)]


def masks(folder: Path) -> dict[str, NDArray[Any]]:
    """All masks of a folder, by name."""
    found = {}
    for path in sorted(folder.glob("*.nii.gz")):
        file: Any = nibabel.load(path)
        found[path.name] = np.asanyarray(file.dataobj)
    return found
