"""What a plan will need on this machine: memory from the table of costs, time from a real step."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import torch

from pipeline.bundles.device import find_device, memory_gib
from pipeline.engines.machine import device_name
from pipeline.io import atomic_path
from pipeline.losses import DiceCELoss
from pipeline.networks import build_network
from pipeline.networks.costs import read_costs
from pipeline.networks.facts import network_facts
from pipeline.planning.intensities import network_channels
from pipeline.planning.network import NetworkFacts
from pipeline.planning.presets import update_bytes
from pipeline.settings import cache_dir
from pipeline.train.step import Choice
from pipeline.train.tuning import Bench, kept

LARGEST: Final = 4e9  # multiply-adds of a forward pass that is timed on a CPU
LARGEST_CUDA: Final = 1e13
TIMED: Final = 2  # steps; the first warms up, and others may use the cores as well


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an update needs.

    Attributes:
        memory_gib: Activations, weights, gradients, moments and loss.
        offered_gib: What the device has.
        seconds: Forward and backward pass of a batch, without reading and augmenting.
        how: What was timed.
    """

    memory_gib: float
    offered_gib: float
    seconds: float
    how: str

    def rows(self) -> list[str]:
        """Return the lines that a report prints."""
        needed, took = _rounded(self.memory_gib), _rounded(self.seconds)
        return [
            f"memory  {needed} GiB of {self.offered_gib:.1f} GiB, by the networks' table of costs",
            f"time    {took} s per update, {self.how}",
        ]


def expected(
    name: str,
    preset: str,
    plan: Mapping[str, Any],
    facts: Mapping[str, Any],
    device: str | None = None,
) -> Expectation:
    """Return what an update of a plan needs on this machine; a timing is kept in the cache.

    The very network is timed. On a CPU a batch of more than 4 billion multiply-adds is made
    smaller, patch and number, and the time scaled by its voxels.

    Args:
        name: The bundle's network.
        preset: `compact` or `full`.
        plan: As `pipeline.bundles.plan` gives it.
        facts: The fingerprint as plain values.
        device: Where to train; None: as a training would choose.

    Raises:
        InvalidValueError: No such device here.
    """
    place = find_device(device)
    dims, patch, batch = plan["spatial_dims"], list(plan["patch"]), int(plan["batch_size"])
    known = network_facts(name, dims, preset)
    classes = len(facts["classes"]) + (facts["head"] == "softmax")
    needed = update_bytes(known, batch * prod(patch), classes)
    cost = read_costs()[name][preset][dims - 2]
    limit = (LARGEST_CUDA if place.type == "cuda" else LARGEST) * prod(cost.size)
    count, size = _smaller(known, batch, patch, limit / cost.multiply_adds)
    seconds, choice = _timed(name, plan, facts, place, (count, *size))
    scale = batch * prod(patch) / (count * prod(size))
    what = f"{count} of {_product(size)}"
    how = f"measured ({what})" if scale == 1 else f"scaled from a measured step of {what}"
    if choice == Choice():
        how += "; a training looks for a faster way first"
    return Expectation(needed / 2**30, memory_gib(device), seconds * scale, how)


def _smaller(
    known: NetworkFacts, batch: int, patch: list[int], voxels: float
) -> tuple[int, list[int]]:
    """A batch of at most `voxels` where that can be: fewer patches, then smaller ones."""
    count, size = batch, list(patch)
    if count * prod(size) > voxels:
        count = max(1, int(voxels // prod(size)))
    floor = known.next_size([2 * known.divisor[0], *known.divisor[1:]])  # two coarsest voxels
    while count * prod(size) > voxels and "img_size" not in known.options:
        axis = max(range(len(size)), key=lambda i: size[i] / floor[i])
        if size[axis] <= floor[axis]:
            break
        size[axis] = known.next_size([max(floor[axis], size[axis] // 2)] * len(size))[axis]
    return count, size


def _timed(
    name: str,
    plan: Mapping[str, Any],
    facts: Mapping[str, Any],
    device: torch.device,
    shape: tuple[int, ...],
) -> tuple[float, Choice]:
    """Seconds of a step with a batch of `shape`, and how it was computed."""
    channels = len(network_channels(facts["modality"], plan))
    sigmoid = facts["head"] == "sigmoid"
    out = len(facts["classes"]) + (not sigmoid)
    batch, labels = (shape[0], channels, *shape[1:]), out if sigmoid else 1
    network = build_network(name, plan["spatial_dims"], channels, out, **plan["network"]).to(device)
    loss = DiceCELoss(sigmoid=sigmoid)
    known = kept(network, loss, batch, device)
    choice = Choice() if known is None else known[0]
    key = [
        device_name(device), torch.__version__, torch.get_num_threads(), name, plan["network"],
        batch, out, choice.to_dict(),
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
    path = cache_dir() / "steps" / f"{digest}.json"
    if path.is_file():
        return float(json.loads(path.read_text())["seconds"]), choice
    image = torch.rand(batch, device=device)
    label = torch.zeros((shape[0], labels, *shape[1:]), dtype=torch.uint8, device=device)
    bench = Bench(network.train(), loss, image, label)
    seconds = min(bench.step(choice)[0] for _ in range(TIMED))
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"seconds": seconds, "what": key}))
    return seconds, choice


def _rounded(value: float) -> str:
    """Two digits, and no exponent for large numbers."""
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def _product(size: Sequence[int]) -> str:
    """Write a size as `32x48`."""
    return "x".join(map(str, size))
