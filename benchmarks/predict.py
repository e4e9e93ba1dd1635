"""A scan from file to mask: ours beside MONAI's stock pipeline, same network and weights.

Each run is a process of its own that measures itself after imports and the opening of the weights;
the rows take turns, so that whatever else the machine does hits all. Ratios above 1 mean faster
than stock. What an engine needs once per weights and machine (export, choice) is made beforehand,
by a run that does not count, as it is for every case of a cohort but the first.

    python -m benchmarks.reference       # once: a network that has learned the task
    python -m benchmarks.predict [--rounds 2] [--only ROW ...] [--page]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import DOCS, markdown, write_of_this_cpu
from benchmarks.reference import LARGER, trained
from pipeline.io import read_image, read_label, write_nifti
from pipeline.phantom import LABELS, draw_patient, render
from pipeline.settings import cache_dir

SHAPE, SPACING = (512, 512, 160), (0.8, 0.8, 2.0)
LONG = 600  # slices
UNSEEN_SEED = 7201
ROWS: Final = {
    "stock": "MONAI stock, `sw_batch_size` 1",
    "nnunet": "nnU-Net's predictor between stock transforms",
    "auto": "ours, `--engine auto`, box",
    "auto-lattice": "ours, `--engine auto`, lattice box",
    "auto-full": "ours, `--engine auto`, no box",
    "fp32-box": "ours, fp32, box",
    "fp32": "ours, fp32, no box",
    "auto@25": "ours, 25 classes (random maps)",
    "auto@105": "ours, 105 classes (random maps)",
    "stock@25": "MONAI stock, 25 classes (random maps)",
    "long@105": "ours, 512 x 512 x 600, 105 classes, `--max-ram 8`: the whole process",
}
SAME_WINDOWS: Final = {"auto": "fp32-box", "auto-full": "fp32"}
"""Rows whose labels are compared with those of another row than stock's."""
WARM: Final = ("auto", "fp32", "auto@25", "auto@105")
"""Rows that are run once beforehand: they leave what is made once per weights and machine."""
ONCE: Final = ("nnunet", "fp32-box", "auto-lattice", "auto@25", "auto@105", "stock@25", "long@105")
"""Rows that are run in the first round only."""
DEFAULT: Final = ("stock", "auto", "auto-full", "fp32-box", "fp32", "auto@25", "auto@105")


def write_scan(folder: Path, seed: int = UNSEEN_SEED) -> None:
    """Write `scan.nii.gz`, a patient of 340 x 230 mm with flipped axes, and `label.nii.gz`."""
    for name in ("scan", "label"):
        kept = cache_dir() / "benchmarks" / f"{name}-{seed}.nii.gz"
        if not kept.is_file():
            draw_scan(kept.parent, seed)
        shutil.copyfile(kept, folder / f"{name}.nii.gz")


def draw_scan(folder: Path, seed: int) -> None:
    """Draw a patient once, into the cache."""
    i, j, k = (step / LARGER for step in SPACING)
    drawn = render(draw_patient(seed), (i, j, k), SHAPE)
    affine = np.diag((-SPACING[0], -SPACING[1], SPACING[2], 1.0))
    affine[:3, 3] = (SHAPE[0] - 1) * SPACING[0] / 2, (SHAPE[1] - 1) * SPACING[1] / 2, 0.0
    for name, array in (("scan", drawn.image), ("label", drawn.label)):
        turned = np.ascontiguousarray(array[::-1, ::-1])
        write_nifti(folder / f"{name}-{seed}.nii.gz", turned, affine)


def write_long_scan(folder: Path) -> None:
    """Write `long.nii.gz`: the patient several times over, 600 slices of 1 mm."""
    scan = read_image(folder / "scan.nii.gz")
    depth = np.arange(LONG) % SHAPE[2]
    assert scan.affine is not None
    affine = scan.affine @ np.diag((1.0, 1.0, 1.0 / SPACING[2], 1.0))
    write_nifti(folder / "long.nii.gz", scan.array[..., depth], affine)


def run(row: str, folder: Path) -> dict[str, Any]:
    """Run a row in a process of its own; return what it measured."""
    command = [sys.executable, "-m", "benchmarks.prediction", row, str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    if done.returncode:
        raise SystemExit(f"error: {row} ended with {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{row}: {answer['seconds']:.1f} s, {answer['engine']}, "
        f"{answer['peak_gib'] - answer['base_gib']:.2f} GiB above base {answer['stages']}",
        *answer.get("why", ()), sep="\n  ", file=sys.stderr, flush=True,
    )  # fmt: skip
    return answer


def dice(mask: NDArray[Any], label: NDArray[Any]) -> list[float]:
    """Dice of each structure."""
    scores = []
    for value in LABELS.values():
        a, b = mask == value, label == value
        scores.append(float(2 * np.count_nonzero(a & b) / max(1, a.sum() + b.sum())))
    return scores


def agreement(mask: NDArray[Any], other: NDArray[Any]) -> str:
    """Share of equal voxels in percent: of all, and of those that either calls foreground."""
    differing = int(np.count_nonzero(mask != other))
    foreground = int(np.count_nonzero((mask > 0) | (other > 0)))
    return f"{100 - 100 * differing / mask.size:.4f}, {100 - 100 * differing / foreground:.3f}"


def line(row: str, answers: dict[str, list[dict[str, Any]]], folder: Path) -> list[str]:
    """A row of the table."""
    runs, stock = answers[row], answers.get("stock", [])
    seconds = statistics.median(r["seconds"] for r in runs)
    whole = row.startswith("long")
    peak = max(r["peak_gib"] - (0.0 if whole else r["base_gib"]) for r in runs)
    cells = [ROWS[row], "", f"{seconds:.1f}", runs[-1]["engine"], "", f"{peak:.2f}", "", ""]
    cells[4] = str(runs[-1].get("windows", ""))
    if "@" in row:
        return cells
    if stock:
        ratios = [s["seconds"] / r["seconds"] for s, r in zip(stock, runs, strict=False)]
        cells[1] = f"{statistics.median(ratios):.1f} [{min(ratios):.1f}, {max(ratios):.1f}]"
    mask = read_label(folder / f"{row}.nii.gz").array
    scores = dice(mask, read_label(folder / "label.nii.gz").array)
    cells[6] = f"{statistics.mean(scores):.4f}"
    # the engine is judged on the same windows, the box by Dice
    peer = SAME_WINDOWS.get(row, "stock")
    if row != peer and (folder / f"{peer}.nii.gz").is_file():
        cells[7] = f"{agreement(mask, read_label(folder / f'{peer}.nii.gz').array)} ({peer})"
    return cells


def main() -> None:
    """Run the rows by turns, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=tuple(ROWS), default=list(DEFAULT))
    parser.add_argument("--page", action="store_true", help="write docs/performance.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scan(folder)
        if "long@105" in args.only:
            write_long_scan(folder)
        made = {row: run(row, folder) for row in WARM if row in args.only}
        answers: dict[str, list[dict[str, Any]]] = {row: [] for row in args.only}
        for number in range(args.rounds):
            for row in args.only if number == 0 else [r for r in args.only if r not in ONCE]:
                answers[row].append(run(row, folder))
        head = ["run", "ratio", "s", "engine", "windows", "GiB above base", "Dice", "equal, %"]
        text = markdown(head, [line(row, answers, folder) for row in args.only])
    if "auto" in made:
        found = "\n".join(f"    {why}" for why in made["auto"]["why"])
        text += f"\n\nWhat `auto` found:\n\n{found}"
    print(text)
    if args.page:
        reached = trained()[1]["mean_dice"]
        measured = f"{args.rounds} rounds; the network reaches {reached:.3f} on unseen patients"
        write_of_this_cpu(DOCS / "performance.md", "predict", measured, text)


if __name__ == "__main__":
    main()
