"""Every network in its compact preset, trained for two minutes on the same cases.

3D on a fold of `hippocampus`, 2D on `nuclei`, each by the stock command in a process of its own.
A row is kept as soon as it is there, so that a run of hours may be stopped and goes on; a table
has rows of one kind of CPU only. Two minutes favour networks that are cheap to compute.

Trainings that run at a time share the machine evenly, each with its own threads.

    python -m benchmarks.family [--only NAME ...] [--jobs 2] [--output FILE.jsonl] [--page]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from benchmarks.pages import DOCS, Row, Rows, markdown, write_between
from pipeline.engines.machine import cpu_name
from pipeline.metrics import read_table, summarise
from pipeline.networks import NETWORKS

BUNDLES: Final = Path(__file__).parents[1] / "bundles"
SETS: Final = {3: ["--manifest", "hippocampus", "--fold", "0"], 2: ["--manifest", "nuclei"]}
EPOCH: Final = re.compile(r"epoch (\d+): .*\((\d+) s, (\d+) updates\)")
GIB: Final = 2**30
NAME: Final = "benchmark of the family"


def main() -> int:
    """Train what is missing, print the table, and write the page if asked to; 1 after a failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(NETWORKS))
    parser.add_argument("--minutes", type=float, default=2.0, help="of each training (default: 2)")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time (default: 1)")
    parser.add_argument("--output", type=Path, help="file of rows (default: in the cache)")
    parser.add_argument("--page", action="store_true", help="write the table into docs/networks.md")
    args = parser.parse_args()
    threads = max(1, len(os.sched_getaffinity(0)) // args.jobs)
    alike = {"minutes": args.minutes, "threads": threads, "cpu": cpu_name()}
    rows = Rows(args.output, "family", ("name", "dims", *alike))
    missing = [
        (name, dims)
        for dims in SETS
        for name in args.only
        if not rows.has(name=name, dims=dims, **alike)
    ]
    failed = False
    with ThreadPoolExecutor(args.jobs) as pool:
        running = {pool.submit(trained, *one, args.minutes, threads): one for one in missing}
        for done in as_completed(running):
            (name, dims), found = running[done], done.result()
            failed |= found is None
            if found is not None:
                rows.add({"name": name, "dims": dims, **alike, **found})
                print(f"{name} {dims}D: {json.dumps(found)}", file=sys.stderr, flush=True)
    kept = [row for row in rows.rows.values() if all(row[k] == v for k, v in alike.items())]
    text = page(kept, args.minutes, args.jobs, threads)
    print(text)
    if args.page:
        write_between(DOCS / "networks.md", NAME, text)
    return int(failed)


def trained(name: str, dims: int, minutes: float, threads: int) -> Row | None:
    """Train by the stock command and read what it leaves; None where it fails, after its words."""
    command = [sys.executable, "-m", "monai.bundle", "run", "training"]
    command += ["--config_file", str(BUNDLES / name / "train.json"), *SETS[dims]]
    command += ["--spatial_dims", str(dims), "--max_minutes", str(minutes)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        printed = Path(folder) / "printed.txt"
        with printed.open("w") as file:
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            process = subprocess.Popen(
                command, cwd=folder, stdout=file, stderr=file, env=environment
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            print(f"{name} {dims}D: {printed.read_text()[-800:]}", file=sys.stderr)
            return None
        unit = 1 if sys.platform == "darwin" else 1024
        (run,) = Path(folder).glob(f"runs/{name}/*")
        return {
            **read_run(run),
            "peak_gib": round(usage.ru_maxrss * unit / GIB, 2),
            "wall_s": round(time.monotonic() - began, 1),
        }


def read_run(run: Path) -> Row:
    """Score, updates and pace of a run's folder."""
    scores = read_table(run / "scores.csv")
    summary = summarise(scores)
    epochs = [
        match for match in map(EPOCH.search, (run / "log.txt").read_text().splitlines()) if match
    ]
    seconds, updates = (int(number) for number in epochs[-1].groups()[1:])
    model = json.loads((run / "models" / "model.json").read_text())
    return {
        "dice": round(summary.mean.dice, 4),
        "cases": len({score.case for score in scores}),
        "updates": updates,
        "seconds_per_update": round(seconds / updates, 3),
        "patch": model["plan"]["patch"],
        "batch_size": model["plan"]["batch_size"],
    }


def page(rows: list[Row], minutes: float, jobs: int, threads: int) -> str:
    """One table, best score first, with the machine and the command that made it."""
    command = f"python -m benchmarks.family --jobs {jobs} --page"
    if not rows:
        return f"Not measured yet: `{command}`."
    found = {(row["name"], row["dims"]): row for row in rows}
    names = sorted(
        {row["name"] for row in rows},
        key=lambda name: -max(found[name, d]["dice"] for d in (2, 3) if (name, d) in found),
    )
    head = ["network"]
    for label in ("nuclei 2D", "hippocampus 3D"):
        head += [f"{label}: Dice", "updates", "s per update", "GiB"]
    table = markdown(
        head,
        ([name, *(cell for d in (2, 3) for cell in cells(found.get((name, d))))] for name in names),
    )
    cases = {d: max((row["cases"] for row in rows if row["dims"] == d), default=0) for d in SETS}
    return (
        f"Compact presets, {minutes:g} minutes each, {jobs} at a time (threads of each: {threads})"
        f", {cpu_name()}; mean Dice on {cases[2]} "
        f"held-out pictures of nuclei and {cases[3]} held-out scans of the hippocampus (fold 0); "
        "seconds per update include the validations, GiB is the peak of the whole program; "
        f"`{command}`. So short a time favours networks that are cheap "
        f"to compute: it says little about what they reach in the end.\n\n{table}"
    )


def cells(row: Row | None) -> list[str]:
    """The cells of one training."""
    if row is None:
        return [""] * 4
    return [
        f"{row['dice']:.3f}",
        f"{row['updates']:,}",
        f"{row['seconds_per_update']:.2f}",
        f"{row['peak_gib']:.1f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
