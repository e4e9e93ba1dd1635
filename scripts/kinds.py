"""The scores of a run on `nuclei`, told per kind of picture.

python scripts/kinds.py RUN
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from pipeline.metrics import Score, read_table


def main() -> None:
    """Print a Markdown table: kind, pictures held out, mean IoU and Dice."""
    if len(sys.argv) != 2 or "UNETWORKS_DATA" not in os.environ:
        raise SystemExit("error: give a run's folder, and UNETWORKS_DATA in the environment")
    splits = Path(os.environ["UNETWORKS_DATA"]) / "nuclei" / "splits.json"
    kinds = json.loads(splits.read_text())["strata"]
    rows = {row.case: row for row in read_table(Path(sys.argv[1]) / "scores.csv")}
    print("| kind | pictures | IoU | Dice |\n|---|--:|--:|--:|")
    for kind, parts in kinds.items():
        if parts["test"]:
            print(line(kind, [rows[Path(name).stem] for name in parts["test"]]))
    print(line("all", list(rows.values())))


def line(kind: str, scores: Sequence[Score]) -> str:
    """A row of the table."""
    iou, dice = mean(s.iou or 0.0 for s in scores), mean(s.dice or 0.0 for s in scores)
    return f"| {kind} | {len(scores)} | {iou:.3f} | {dice:.3f} |"


if __name__ == "__main__":
    main()
