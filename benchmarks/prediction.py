"""One run of `benchmarks/predict.py`, in a process of its own: prints what it measured as JSON."""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.reference import SPACING, WINDOW_HU, trained, weights_file
from benchmarks.stock import OVERLAP, PATCH, run_nnunet, run_stock
from pipeline.contract import Network
from pipeline.inferers.layout import Box
from pipeline.phantom import LABELS
from pipeline.predict.inputs import InputCase
from pipeline.predict.model import Model
from pipeline.predict.options import SegmentOptions
from pipeline.predict.outputs import write_mask
from pipeline.predict.peak import forget_peak, peak_gib
from pipeline.predict.segment import segment

GIB: Final = 2**30
OURS: Final = {
    "auto": SegmentOptions(),
    "auto-full": SegmentOptions(body_box="off"),
    "auto-lattice": SegmentOptions(body_box="lattice"),
    "auto-spread": SegmentOptions(),
    "fp32": SegmentOptions(body_box="off", precision="fp32"),
    "fp32-box": SegmentOptions(precision="fp32"),
    "long": SegmentOptions(max_ram_gib=8.0),
}

PEERS: Final = {"stock": run_stock, "nnunet": run_nnunet}


class Wrapped(Network):
    """A network from elsewhere behind our contract.

    Args:
        network: `(B, 1, *S)` to logits.
        classes: Its channels.
    """

    divisor = 8

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__(3, 1, classes)
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.network(x)
        return logits


class Cheap(Network):
    """Random class maps at next to no cost: what remains is the memory of stitching.

    Args:
        classes: Channels of the logits.
    """

    divisor = 8

    def __init__(self, classes: int) -> None:
        super().__init__(3, 1, classes)
        torch.manual_seed(0)
        self.layer = nn.Conv3d(1, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.layer(x)
        return logits


def model(network: Network, digest: str, classes: int) -> Model:
    """Return what `predict` opens from a run's folder."""
    names = (
        list(LABELS) if classes == len(LABELS) + 1 else [f"class {k}" for k in range(1, classes)]
    )
    facts = {
        "classes": names,
        "values": [[k] for k in range(1, classes)],
        "head": "softmax",
        "modality": ["CT"],
        "dims": 3,
    }
    plan = {
        "spatial_dims": 3,
        "spacing": list(SPACING),
        "normalisation": "window",
        "window": [list(WINDOW_HU)],
        "patch": list(PATCH),
        "overlap": OVERLAP,
        "slice_axis": None,
    }
    device, folder = torch.device("cpu"), weights_file().parent
    return Model("reference", network.eval(), facts, plan, digest, device, folder)


def base_gib() -> float:
    """Resident memory now."""
    return float(psutil.Process().memory_info().rss) / GIB


def run_ours(subject: Model, scan: Path, mask: Path, options: SegmentOptions) -> dict[str, Any]:
    """Predict file to file as `unetworks predict` does."""
    began = time.perf_counter()
    case = InputCase(mask.name.split(".")[0], (scan,), scan.name)
    result = segment(case, [subject], options)
    write_mask(mask, result, subject)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "stages": result.seconds,
        "engine": " ".join(result.engines[0]) if result.engines else "",
        "windows": result.windows,
        "why": list(result.why),
    }


def everything(image: NDArray[Any], spacing: Sequence[float]) -> Box:
    """Stands for `body_box`: windows are spread as in a box, but over the whole grid."""
    return tuple((0, n) for n in image.shape)


def main() -> None:
    """Run the row that the command names."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    kind, _, classes = name.partition("@")
    source = "long.nii.gz" if kind == "long" else "scan.nii.gz"
    scan, mask = folder / source, folder / f"{name}.nii.gz"
    if classes:
        network: nn.Module = Cheap(int(classes)).eval()
        digest, channels = f"{int(classes):064x}", int(classes)
    else:
        network, facts = trained()
        digest, channels = facts["sha256"], len(LABELS) + 1
    base = base_gib()
    forget_peak()
    box = patch("pipeline.predict.preparing.body_box", everything)
    with torch.inference_mode(), box if kind == "auto-spread" else nullcontext():
        if kind in PEERS:
            answer: dict[str, Any] = PEERS[kind](network, scan, mask)
        else:
            wrapped = network if isinstance(network, Network) else Wrapped(network, channels)
            answer = run_ours(model(wrapped, digest, channels), scan, mask, OURS[kind])
    answer["base_gib"] = base
    answer["peak_gib"] = peak_gib()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
