"""What an engine is opened for: a network, its weights' hash and one window shape."""

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from pipeline.contract import Network

CPU: Final = torch.device("cpu")
PLAIN: Final = (int, float, str, type(None))
OURS: Final = "pipeline."


@dataclass(frozen=True, slots=True)
class Subject:
    """What is computed, in which shape and where.

    Attributes:
        network: In evaluation, on `device`.
        digest: SHA-256 of its weights, as `model.json` has it.
        patch: The window in voxels; a size that the network takes.
        batch: Windows per forward.
        device: Where to compute.
        calibration: Prepared windows `(C, *patch)` for int8; None or empty: there are none.
        streams: Forwards at once, where the engine can; None: as many as measured best here.
    """

    network: Network
    digest: str
    patch: tuple[int, ...]
    batch: int = 1
    device: torch.device = CPU
    calibration: Sequence[Tensor] | None = field(default=None, compare=False)
    streams: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """`(batch, C, *patch)`."""
        return (self.batch, self.network.in_channels, *self.patch)


def structure(network: nn.Module) -> str:
    """SHA-256 of what a network computes apart from its weights: its modules, options and code.

    Two networks with the same weights may differ: in recurrences, levels, activations, and in
    what another version of ours does in a forward.
    """
    rows: list[object] = []
    kinds = {kind for module in network.modules() for kind in type(module).__mro__}
    code = sorted(_sum(name) for name in _reached(kind.__module__ for kind in kinds))
    for name, module in network.named_modules():
        options = {
            key: repr(value)
            for key, value in sorted(vars(module).items())
            if key != "training" and _is_plain(value)
        }
        rows.append((name, type(module).__qualname__, options))
    return hashlib.sha256(json.dumps([rows, code]).encode()).hexdigest()


def _reached(names: Iterable[str]) -> set[str]:
    """Those of our Python modules, and those whose functions and classes they use."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name.startswith(OURS) and name not in found and name in sys.modules:
            found.add(name)
            used = vars(sys.modules[name]).values()
            waiting += [str(getattr(value, "__module__", "")) for value in used]
    return found


@cache
def _sum(name: str) -> str:
    """SHA-256 of a Python module's file; of nothing where it has none."""
    file = Path(sys.modules[name].__file__ or "")
    return hashlib.sha256(file.read_bytes() if file.is_file() else b"").hexdigest()


def _is_plain(value: object) -> bool:
    """Whether a value is written the same way in every process."""
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, PLAIN)
