"""A network that has learned its task, for `benchmarks/predict.py`: agreement needs real borders.

Trains MONAI's attention U-Net (16, 32, 64, 128) on the phantom drawn at 1.5 mm and keeps its
weights, with the Dice on patients that it never saw, in the cache. The loop is plain PyTorch with
the product's loss, average of weights and allocator: the stock MONAI pipeline of the benchmark
takes this network as it is.

A resumed training goes on as the first one ended: statistics frozen, classes without weights.

    python -m benchmarks.reference [--minutes 45] [--precision fp32|bf16] [--resume] [--rate 2e-3]
"""

import argparse
import json
import math
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import AttentionUnet
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.bundles.weights import sha256
from pipeline.engines.allocator import keep_large_blocks
from pipeline.engines.calibration import FILE, write_calibration
from pipeline.engines.machine import cpu_name
from pipeline.losses import DiceCELoss
from pipeline.phantom import LABELS, draw_patient, render
from pipeline.settings import cache_dir
from pipeline.train.average import Average

SPACING = (1.5, 1.5, 1.5)
SHAPE = (240, 176, 168)  # 360 x 264 x 252 mm
LARGER = 1.2  # the phantom's patients are slim: 340 x 230 mm fill a field of 410 as adults do
TRAINING, UNSEEN = range(7001, 7015), range(7101, 7104)
WINDOW_HU = (-160.0, 240.0)
CROP, BATCH = 96, 2  # less does not tell left from right; one crop lacks half of the classes
RATE, ANNEAL_UNTIL = 8e-3, 0.7
MOMENTUM = 0.02  # of the running statistics: two crops in a batch make them noisy
FREEZE_AT = 0.7  # from here on the network learns with the statistics that it predicts with
CALIBRATION = 18  # windows for int8

Scan = tuple[NDArray[np.int16], NDArray[np.uint8]]


def network() -> AttentionUnet:
    """Return the network of the benchmark, untrained: about 39 GMAC per window of 96^3."""
    return AttentionUnet(3, 1, len(LABELS) + 1, channels=(16, 32, 64, 128), strides=(2, 2, 2))


def weights_file() -> Path:
    """Where the trained weights lie; a JSON of the same name says what they reach."""
    return cache_dir() / "benchmarks" / "reference.safetensors"


def trained() -> tuple[AttentionUnet, dict[str, Any]]:
    """Return the trained network in evaluation mode and what is known of it."""
    path = weights_file()
    if not path.is_file():
        raise SystemExit(f"error: no {path.name}; run python -m benchmarks.reference first")
    net = network()
    net.load_state_dict(load_file(path))
    facts = json.loads(path.with_suffix(".json").read_text())
    return net.eval(), {**facts, "sha256": sha256(path)}


def calibration_windows(number: int, size: int = 96) -> list[Tensor]:
    """Return windows `(1, *size)` of training patients around structures drawn at random."""
    draw, windows = random.Random(1), []
    for index in range(number):
        image, label = drawn(TRAINING[index % len(TRAINING)])
        centre = draw.choice(np.argwhere(label > 0)[::101])
        start = [
            min(max(int(c) - size // 2, 0), n - size)
            for c, n in zip(centre, label.shape, strict=True)
        ]
        crop = tuple(slice(a, a + size) for a in start)
        windows.append(torch.from_numpy(scaled(image)[crop])[None])
    return windows


def drawn(seed: int) -> Scan:
    """Image in HU and label of a patient, in the cache once drawn."""
    path = cache_dir() / "benchmarks" / f"patient-{seed}.npz"
    if not path.is_file():
        step = SPACING[0] / LARGER
        rendering = render(draw_patient(seed), (step, step, step), SHAPE)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, image=rendering.image, label=rendering.label)
    with np.load(path) as held:
        return held["image"], held["label"]


def scaled(hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """HU to -1..1 within the window."""
    low, high = WINDOW_HU
    return (np.clip(hu.astype(np.float32), low, high) - low) * np.float32(2 / (high - low)) - 1


class Crops:
    """Draws batches: a tumour, another structure or any place in the middle of each crop."""

    def __init__(self, scans: list[Scan], seed: int = 0) -> None:
        self.scans = [(scaled(image), label) for image, label in scans]
        self.places = [
            [np.argwhere(label == value)[::7] for value in LABELS.values()] for _, label in scans
        ]
        self.draw = random.Random(seed)
        self.tumour = list(LABELS).index("liver tumour")

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return image `(B, 1, *S)` with gain and offset of +-.1, and label `(B, 1, *S)`."""
        images, labels = zip(*(self._crop() for _ in range(BATCH)), strict=True)
        return torch.stack(images)[:, None], torch.stack(labels)[:, None]

    def _crop(self) -> tuple[Tensor, Tensor]:
        index = self.draw.randrange(len(self.scans))
        image, label = self.scans[index]
        crop = tuple(slice(a, a + CROP) for a in self._start(index, label.shape))
        gain, offset = self.draw.uniform(0.9, 1.1), self.draw.uniform(-0.1, 0.1)
        return torch.from_numpy(image[crop] * gain + offset).float(), torch.from_numpy(label[crop])

    def _start(self, index: int, shape: tuple[int, ...]) -> list[int]:
        chance, places = self.draw.random(), self.places[index]
        kind = self.tumour if chance < 0.3 else self.draw.randrange(len(places))
        if chance < 0.75 and len(places[kind]):
            centre = self.draw.choice(places[kind])
            start = [int(c) - CROP // 2 + self.draw.randint(-12, 12) for c in centre]
        else:
            start = [self.draw.randint(-16, n - CROP + 16) for n in shape]
        return [min(max(a, 0), n - CROP) for a, n in zip(start, shape, strict=True)]


def train(
    scans: list[Scan],
    minutes: float,
    precision: str,
    start: AttentionUnet,
    highest: float,
    *,
    resumed: bool,
) -> tuple[nn.Module, int]:
    """Return the averaged network and the number of updates; `highest` is the rate's peak."""
    net = start.train().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm3d)]
    for norm in norms:
        norm.momentum = MOMENTUM
    average, crops = Average(net), Crops(scans)
    shares = np.mean([np.bincount(y.ravel(), minlength=7) / y.size for _, y in scans], axis=0)
    loss_of = DiceCELoss((shares**-0.5).tolist(), shares.tolist(), ANNEAL_UNTIL)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-4)
    began, updates = time.monotonic(), 0
    while (progress := (time.monotonic() - began) / (60 * minutes)) < 1:
        loss_of.progress = max(progress, ANNEAL_UNTIL) if resumed else progress
        for norm in norms:
            norm.train(progress < FREEZE_AT and not resumed)
        rate = highest * min(1.0, progress / 0.05) * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        image, label = crops.batch()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = net(image.to(memory_format=torch.channels_last_3d))
        loss = loss_of(logits, label)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        average.update(net)
        updates += 1
        if updates % 50 == 0:
            print(f"{updates} updates, {progress:.0%}, loss {loss.item():.3f}", flush=True)
    return average.module, updates


@torch.inference_mode()
def dice(net: nn.Module, scan: Scan) -> dict[str, float]:
    """Dice of each structure of an unseen patient."""
    image, label = scan
    logits = sliding_window_inference(
        torch.from_numpy(scaled(image))[None, None], (96, 96, 96), 1, net, 0.25, mode="gaussian"
    )
    found = torch.as_tensor(logits).argmax(1)[0].numpy()
    scores = {}
    for name, value in LABELS.items():
        a, b = found == value, label == value
        scores[name] = float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))
    return scores


def main() -> None:
    """Draw the patients, train, score on the unseen and keep the weights."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--rate", type=float, default=RATE, help="the peak of the learning rate")
    parser.add_argument("--resume", action="store_true", help="start from the weights kept")
    args = parser.parse_args()
    keep_large_blocks(on=True)
    torch.manual_seed(0)
    start, before = trained() if args.resume else (network(), {})
    with ProcessPoolExecutor() as pool:
        scans = list(pool.map(drawn, TRAINING))
    net, updates = train(scans, args.minutes, args.precision, start, args.rate, resumed=args.resume)
    cases = [dice(net, drawn(seed)) for seed in UNSEEN]
    facts: dict[str, Any] = {
        "dice": {name: round(float(np.mean([c[name] for c in cases])), 4) for name in LABELS},
        "updates": updates + before.get("updates", 0),
        "minutes": args.minutes + before.get("minutes", 0),
        "precision": args.precision,
        "cpu": cpu_name(),
    }
    facts["mean_dice"] = round(float(np.mean(list(facts["dice"].values()))), 4)
    path = weights_file()
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path)
    write_calibration(calibration_windows(CALIBRATION), path.with_name(FILE))
    path.with_suffix(".json").write_text(json.dumps(facts, indent=2) + "\n")
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
