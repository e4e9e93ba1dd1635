"""Memory format, autocast and allocator, each timed on this machine and kept only where faster.

No flag of a CPU is asked: on one kind bfloat16 wins, on another it loses although the flag is
there, on a third it is twenty times slower.
"""

import copy
import hashlib
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.engines.allocator import keep_large_blocks
from pipeline.engines.machine import device_name
from pipeline.errors import InvalidValueError
from pipeline.io import atomic_path, locked
from pipeline.settings import cache_dir
from pipeline.train.hazards import has_narrow_shortcuts, has_shallow_maps
from pipeline.train.step import Choice, forward_loss, memory_format, too_large

GAIN = 1.03  # a candidate must be faster by this factor
ROUNDS = 2
SLOWEST_S = 20.0  # a step longer than this is not timed again and again
GIVE_UP = 2.5  # a first step this many times slower ends a candidate


class OwnBatchNorm(nn.SyncBatchNorm):
    """A synchronised norm that waits for no other process: only one of them measures."""

    forward = nn.BatchNorm3d.forward


@dataclass(frozen=True, slots=True)
class Bench:
    """A network of its own, a loss and a made-up batch, to time steps on."""

    network: nn.Module
    loss: nn.Module
    image: torch.Tensor
    label: torch.Tensor

    def step(self, choice: Choice) -> tuple[float, bool]:
        """Run one forward and backward pass; return its seconds and whether it was finite."""
        keep_large_blocks(choice.keep_memory)
        form = memory_format(self.image.ndim - 2, channels_last=choice.channels_last)
        for parameter in self.network.parameters():
            if parameter.ndim == self.image.ndim:
                parameter.data = parameter.data.contiguous(memory_format=form)
        began = time.perf_counter()
        self.network.zero_grad(set_to_none=True)
        value = forward_loss(self.network, self.loss, self.image, self.label, choice)
        value.backward()  # type: ignore[no-untyped-call]
        finite = math.isfinite(float(value.detach()))
        return time.perf_counter() - began, finite

    def tried(self, choice: Choice) -> tuple[float, bool]:
        """As `step`; infinite and not finite where the memory is too small."""
        try:
            return self.step(choice)
        except torch.OutOfMemoryError:
            pass  # what the step held goes with the error
        self.network.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        return math.inf, False


def tune(
    network: nn.Module,
    loss: nn.Module,
    shape: Sequence[int],
    label_channels: int,
    device: torch.device,
    amp: bool | None = None,
    *,
    again: bool = False,
) -> tuple[Choice, str]:
    """Choose how updates are computed, by timing steps on made-up data.

    The choice is kept in the cache for this machine, network and batch, so that two runs of one
    seed compute the same way.

    Args:
        network: The network; it is copied, not changed.
        loss: The loss.
        shape: `(B, C, *S)` of a batch.
        label_channels: Channels of the label.
        device: Where to train.
        amp: The user's word on autocast; None: measured.
        again: Measure even if a choice is kept.

    Returns:
        The choice, and a line that says what was measured.

    Raises:
        InvalidValueError: Autocast asked for where it would compute wrong gradients.
        ResourceError: The device has too little memory for a step.
    """
    path = _cache_path(network, loss, shape, device, amp)
    with locked(path):  # two runs at a time take one choice
        known = None if again else kept(network, loss, shape, device, amp)
        if known is not None:
            return known[0], f"{known[1]} (kept from an earlier run)"
        choice, line = _measure(network, loss, shape, label_channels, device, amp)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({"choice": choice.to_dict(), "line": line}))
    return choice, line


def _measure(
    network: nn.Module,
    loss: nn.Module,
    shape: Sequence[int],
    label_channels: int,
    device: torch.device,
    amp: bool | None,
) -> tuple[Choice, str]:
    """Time the candidates on copies, as `tune` describes; random state as before."""
    state = torch.get_rng_state()
    image = torch.rand(tuple(shape), device=device)
    label = torch.zeros((shape[0], label_channels, *shape[2:]), dtype=torch.uint8, device=device)
    bench = Bench(copy.deepcopy(network).train(), copy.deepcopy(loss), image, label)
    for module in bench.network.modules():
        if isinstance(module, nn.SyncBatchNorm):
            module.__class__ = OwnBatchNorm
    if amp is not False and device.type == "cpu" and has_shallow_maps(bench.network, image):
        if amp:
            raise InvalidValueError(
                f"amp computes wrong gradients on a CPU for the patch {list(shape[2:])}: a kernel "
                "is deeper than its map",
                hint="give a patch that is larger along its first axis, or --amp False",
            )
        amp = False
    choice, line = _race(bench, device, amp)
    torch.set_rng_state(state)
    keep_large_blocks(choice.keep_memory)
    return choice, line


def kept(
    network: nn.Module,
    loss: nn.Module,
    shape: Sequence[int],
    device: torch.device,
    amp: bool | None = None,
) -> tuple[Choice, str] | None:
    """What `tune` chose before on this machine, and its line; None where it never did."""
    path = _cache_path(network, loss, shape, device, amp)
    if not path.is_file():
        return None
    stored = json.loads(path.read_text())
    return Choice(**stored["choice"]), str(stored["line"])


def _race(bench: Bench, device: torch.device, amp: bool | None) -> tuple[Choice, str]:
    """Try one change after the other on top of the best so far."""
    best = Choice(amp=bool(amp))
    unsafe = device.type == "cpu" and has_narrow_shortcuts(bench.network)
    changes: list[dict[str, bool]] = [] if unsafe else [{"channels_last": True}]
    if device.type == "cpu":
        changes.insert(0, {"keep_memory": True})
    told = []
    first, _ = bench.tried(best)
    if math.isinf(first) and amp is None:
        amp = True
        best = Choice(amp=True)
        first, _ = bench.tried(best)
        told.append("float32 does not fit")
    if math.isinf(first):
        raise too_large(bench.image.shape, device)
    if amp is None:
        changes.append({"amp": True})
    for change in changes if first < SLOWEST_S else []:
        candidate = replace(best, **change)
        gain = _gain(bench, best, candidate)
        name = next(iter(change))
        told.append(f"{name.replace('_', ' ')} {gain:.2f}x" if gain else f"{name} no")
        if gain >= GAIN:
            best = candidate
    kept = [k.replace("_", " ") for k, v in best.to_dict().items() if v] or ["nothing"]
    return best, f"speed measured: {', '.join(told) or 'one slow step'}; kept: {', '.join(kept)}"


def _gain(bench: Bench, best: Choice, candidate: Choice) -> float:
    """Speed of `candidate` over `best`, by turns; 0 where it is hopeless or does not fit."""
    reference, _ = bench.tried(best)
    first, finite = bench.tried(candidate)
    if not finite:
        return 0.0
    if first > GIVE_UP * reference:
        second, _ = bench.tried(candidate)
        if second > GIVE_UP * reference:
            return reference / second
    times: dict[Choice, list[float]] = {best: [], candidate: []}
    for _ in range(ROUNDS):
        for choice in (best, candidate):
            bench.tried(choice)  # the first step after a change pays for it
            seconds, finite = bench.tried(choice)
            times[choice].append(seconds)
            if not finite:
                return 0.0
    return statistics.median(times[best]) / statistics.median(times[candidate])


def _cache_path(
    network: nn.Module, loss: nn.Module, shape: Sequence[int], device: torch.device, amp: Any
) -> Path:
    """Where the choice for this machine, network and batch is kept."""
    where = device_name(device)
    tensors = [(k, list(v.shape)) for k, v in network.state_dict().items()]
    key = [where, torch.__version__, torch.get_num_threads(), tensors, type(loss).__name__]
    text = json.dumps([key, list(shape), amp, GAIN])
    return cache_dir() / "tuning" / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"
