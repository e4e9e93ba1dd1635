"""What prediction adds to the network's own time: on a scan, and on a picture.

python -m benchmarks.reference       # once: a network that has learned the task
python -m benchmarks.overhead [--rounds 5] [--page]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.pages import DOCS, markdown, write_of_this_cpu
from benchmarks.predict import write_scan
from benchmarks.prediction import Wrapped, model
from benchmarks.reference import trained
from pipeline.engines.threads import torch_held_back
from pipeline.inferers.gather import Gather
from pipeline.inferers.layout import places
from pipeline.inferers.masks import Masks
from pipeline.inferers.sweep import Sweep
from pipeline.inferers.target import Target
from pipeline.io import write_picture
from pipeline.networks import build_network, preset_options
from pipeline.phantom import LABELS
from pipeline.predict.computing import Engines
from pipeline.predict.inputs import InputCase
from pipeline.predict.members import Member, meet, opened
from pipeline.predict.model import Model
from pipeline.predict.options import SegmentOptions
from pipeline.predict.outputs import write_mask
from pipeline.predict.preparing import prepare, read_case
from pipeline.predict.segment import segment

SIDE: Final = 512  # pixels of the picture
FEW: Final = 10  # pictures in a round, the median of which counts


def timed(action: Callable[[], object]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


@torch.inference_mode()
def scan_seconds(folder: Path, rounds: int) -> tuple[str, list[float], list[float]]:
    """The engine, seconds with its outputs dropped, and from the prepared tensor to labels."""
    network, facts = trained()
    subject = model(Wrapped(network, len(LABELS) + 1), facts["sha256"], len(LABELS) + 1)
    write_scan(folder)
    scan, options = folder / "scan.nii.gz", SegmentOptions()
    case = InputCase("scan", (scan,), scan.name)
    prepared = prepare("scan", read_case(case), subject, options)
    layout, image = prepared.layout, prepared.image
    dropped, labelled = [], []
    with Engines() as engines:
        (computing,), plan = opened(meet([Member(subject, prepared)], options), engines, options)
        engine = computing.engine
        windows = places(layout, plan.axes)

        def drop() -> None:
            gather = Gather(image, layout)
            groups = [windows[i : i + engine.batch] for i in range(0, len(windows), engine.batch)]
            batches = (
                torch.stack([gathered(gather, place) for place in group]) for group in groups
            )
            for _ in engine.run(batches):
                pass

        def gathered(gather: Gather, place: tuple[int, ...]) -> torch.Tensor:
            window = image.new_empty((layout.channels(len(image)), *layout.seen))
            gather.into(window, place)
            return window

        def label() -> None:
            masks = Masks("softmax", len(LABELS) + 1, Target.same(layout.shape))
            masks.fill(Sweep(image, layout, engine, plan.axes).blocks())

        with torch_held_back():
            drop()  # the first call of an engine may still compile
            for _ in range(rounds):
                dropped.append(timed(drop))
                labelled.append(timed(label))
        named = f"{engine.name} {engine.precision}, {len(windows)} windows"
    return named, dropped, labelled


@torch.inference_mode()
def picture_seconds(folder: Path, rounds: int) -> tuple[str, list[float], list[float]]:
    """The same of a picture: a forward of the compact U-Net in torch, and from file to file."""
    options = preset_options("unet", "compact", 2)
    network = build_network("unet", 2, 1, 2, **options).eval()
    plan = {
        "spatial_dims": 2, "spacing": None, "normalisation": "zscore", "window": None,
        "patch": [SIDE, SIDE], "overlap": 0.5, "slice_axis": None,
    }  # fmt: skip
    facts = {
        "classes": ["nucleus"], "values": [[1]], "head": "softmax", "modality": ["microscopy"],
        "dims": 2,
    }  # fmt: skip
    subject = Model("unet", network, facts, plan, "0" * 64, torch.device("cpu"))
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8)
    picture, mask = folder / "picture.png", folder / "mask.png"
    write_picture(picture, pixels)
    case = InputCase("picture", (picture,), picture.name)
    window = torch.rand(1, 1, SIDE, SIDE)
    forwards, files = [], []
    with Engines() as engines:

        def predict() -> None:
            write_mask(mask, segment(case, [subject], engines=engines), subject)

        predict()
        for _ in range(rounds):
            forwards.append(statistics.median(timed(lambda: network(window)) for _ in range(FEW)))
            files.append(statistics.median(timed(predict) for _ in range(FEW)))
    return f"torch fp32, one window of {SIDE} x {SIDE}", forwards, files


def row(what: str, found: tuple[str, list[float], list[float]], bar: float) -> list[str]:
    """A row of the table."""
    how, alone, whole = found
    ratios = [b / a for a, b in zip(alone, whole, strict=True)]
    return [
        f"{what}: {how}",
        f"{statistics.median(alone):.3g}",
        f"{statistics.median(whole):.3g}",
        f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]",
        f"{bar:.2f}",
    ]


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page", action="store_true", help="write docs/performance.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            row("picture, file to file", picture_seconds(folder, args.rounds), 1.3),
            row("scan, prepared tensor to labels", scan_seconds(folder, args.rounds), 1.1),
        ]
    head = ["what", "network alone, s", "whole, s", "ratio", "at most"]
    text = markdown(head, rows)
    print(text)
    if args.page:
        write_of_this_cpu(DOCS / "performance.md", "overhead", f"{args.rounds} rounds", text)


if __name__ == "__main__":
    main()
