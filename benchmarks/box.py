"""What the box of the body does to a mask: Dice with it and without, on patients never seen.

python -m benchmarks.reference       # once: a network that has learned the task
python -m benchmarks.box [--page]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import DOCS, markdown, write_of_this_cpu
from benchmarks.predict import dice, run, write_scan
from pipeline.io import read_label
from pipeline.phantom import LABELS

PATIENTS: Final = range(7201, 7207)
ROWS: Final = {
    "auto-full": "no box",
    "auto-spread": "no box, windows spread evenly",
    "auto": "even",
    "auto-lattice": "lattice",
}
"""The second one is no choice of a user's: what moving the windows does by itself."""


def measured(folder: Path, seed: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Dice of each structure and windows, for each kind of box."""
    write_scan(folder, seed)
    label = read_label(folder / "label.nii.gz").array
    scores, windows = {}, {}
    for row in ROWS:
        windows[row] = int(run(row, folder)["windows"])
        scores[row] = dice(read_label(folder / f"{row}.nii.gz").array, label)
    return scores, windows


def main() -> None:
    """Predict each patient once a row, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--page", action="store_true", help="write docs/performance.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = [measured(Path(name), seed) for seed in PATIENTS]
    means: dict[str, NDArray[np.float64]] = {
        row: np.mean([scores[row] for scores, _ in found], axis=0) for row in ROWS
    }
    rows = [
        [
            ROWS[row],
            ", ".join(str(windows[row]) for _, windows in found),
            *(f"{value:.4f}" for value in mean),
            f"{mean.mean():.4f}",
            f"{(mean - means['auto-full']).min():+.4f}",
        ]
        for row, mean in means.items()
    ]
    head = ["box", "windows", *LABELS, "mean", "largest loss of a class"]
    text = markdown(head, rows)
    print(text)
    if args.page:
        write_of_this_cpu(DOCS / "performance.md", "box", f"{len(PATIENTS)} patients", text)


if __name__ == "__main__":
    main()
