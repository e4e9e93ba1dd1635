"""A training step of ours beside a plain fp32 PyTorch loop of the same network, in one run.

Prints a table and one line of JSON. Ratios above 1 mean that ours is faster. Both loops see the
same batches, by turns, so that whatever else the machine does hits both.

    python benchmarks/train.py [--rounds 5] [--steps 6] [--network attunet]
"""

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pipeline.engines.allocator import keep_large_blocks
from pipeline.engines.machine import cpu_name
from pipeline.losses import DiceCELoss
from pipeline.networks import build_network, preset_options
from pipeline.settings import CACHE_VARIABLE
from pipeline.train.average import Average
from pipeline.train.step import Choice, TrainStep
from pipeline.train.tuning import tune

SHAPES = {2: (16, 1, 128, 128), 3: (2, 1, 40, 32, 24)}
CLASSES = 7


class Engine:
    """What `TrainStep` asks of an ignite engine."""

    class State:
        """Where the batch goes."""

        device = torch.device("cpu")
        epoch = iteration = 1

    def __init__(self, network: nn.Module, loss: nn.Module) -> None:
        self.network, self.loss_function, self.state = network, loss, self.State()
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)


def plain_step(network: nn.Module, loss: nn.Module) -> Callable[[dict[str, Any]], None]:
    """The loop that anyone would write: fp32, default memory format, default allocator."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def step(batch: dict[str, Any]) -> None:
        network.train()
        optimizer.zero_grad()
        loss(network(batch["image"]), batch["label"]).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()

    return step


def our_step(
    network: nn.Module, loss: nn.Module, choice: Choice
) -> Callable[[dict[str, Any]], None]:
    """The product's update, with its average of the weights."""
    step = TrainStep(Average(network))
    step.use(choice, network, torch.device("cpu"))
    engine = Engine(network, loss)
    return lambda batch: void(step(engine, batch))


def void(_: object) -> None:
    """Drop a result."""


def timed(step: Callable[[dict[str, Any]], None], batch: dict[str, Any], steps: int) -> float:
    """Median seconds of a step, after one that is not counted."""
    step(batch)
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        step(batch)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def compare(dims: int, name: str, rounds: int, steps: int) -> dict[str, Any]:
    """Time both loops by turns."""
    torch.manual_seed(0)
    shape = SHAPES[dims]
    network = build_network(name, dims, shape[1], CLASSES, **preset_options(name, "compact", dims))
    loss = DiceCELoss()
    batch = {
        "image": torch.randn(shape),
        "label": torch.randint(0, CLASSES, (shape[0], 1, *shape[2:]), dtype=torch.uint8),
    }
    choice, line = tune(network, loss, shape, 1, torch.device("cpu"), again=True)
    ours = our_step(copy.deepcopy(network), loss, choice)
    plain = plain_step(network, loss)
    pairs = []
    for _ in range(rounds):
        keep_large_blocks(False)
        slow = timed(plain, batch, steps)
        keep_large_blocks(choice.keep_memory)
        pairs.append((slow, timed(ours, batch, steps)))
    ratios = sorted(a / b for a, b in pairs)
    return {
        "dims": dims,
        "shape": list(shape),
        "plain_s": round(statistics.median(a for a, _ in pairs), 4),
        "ours_s": round(statistics.median(b for _, b in pairs), 4),
        "ratio": round(statistics.median(ratios), 3),
        "range": [round(ratios[0], 3), round(ratios[-1], 3)],
        "choice": choice.to_dict(),
        "measured": line,
    }


def main() -> None:
    """Print the table and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--network", default="attunet")
    args = parser.parse_args()
    import os

    with tempfile.TemporaryDirectory() as cache:
        os.environ[CACHE_VARIABLE] = cache
        rows = [compare(dims, args.network, args.rounds, args.steps) for dims in (2, 3)]
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'':4} {'batch':24} {'plain s':>8} {'ours s':>8} {'ratio':>6}  range")
    for row in rows:
        text = "x".join(map(str, row["shape"]))
        low, high = row["range"]
        print(
            f"{row['dims']}D   {text:24} {row['plain_s']:8.4f} {row['ours_s']:8.4f} "
            f"{row['ratio']:6.2f}  {low:.2f} to {high:.2f}   {row['measured']}"
        )
    print(json.dumps({"cpu": cpu_name(), "torch": torch.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
