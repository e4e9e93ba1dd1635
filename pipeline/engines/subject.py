"""What an engine is opened for: a network, its weights' hash and one window shape."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor, nn

from pipeline.contract import Network

CPU: Final = torch.device("cpu")
PLAIN: Final = (int, float, str, type(None))


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
    """SHA-256 of what a network computes apart from its weights: its modules and their options.

    Two networks with the same weights may differ: in recurrences, levels, activations.
    """
    rows = []
    for name, module in network.named_modules():
        options = {
            key: repr(value)
            for key, value in sorted(vars(module).items())
            if key != "training" and _is_plain(value)
        }
        rows.append((name, type(module).__qualname__, options))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _is_plain(value: object) -> bool:
    """Whether a value is written the same way in every process."""
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, PLAIN)
