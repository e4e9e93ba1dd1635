"""One engine tried on a case's windows: how fast it is, and how far its labels agree with fp32."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

import torch
from torch import Tensor

from pipeline.contract import Engine
from pipeline.errors import InvalidValueError

WINDOWS: Final = (8, 16)  # at least and at most
FOREGROUND: Final = 1000  # voxels that a share of the foreground needs
TIMED: Final = 4  # batches, or more for more streams


@dataclass(frozen=True, slots=True)
class Reference:
    """Windows and the labels that torch gives them in fp32.

    Attributes:
        batches: `(b, C, *patch)` each.
        labels: Of each batch: integers `(b, *S)`, or `(b, K, *S)` of regions.
        foreground: Voxels that any class claims.
    """

    batches: Sequence[Tensor]
    labels: Sequence[Tensor]
    foreground: int

    @property
    def telling(self) -> bool:
        """Whether there is foreground enough to judge by."""
        return self.foreground >= FOREGROUND


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares of voxels with the same label, 0 to 1.

    Attributes:
        voxels: Among all.
        foreground: Among those that either calls foreground; 1 where there are none.
    """

    voxels: float
    foreground: float

    def __str__(self) -> str:
        """Both in percent."""
        return f"{self.voxels:.4%} of all voxels, {self.foreground:.3%} of the foreground"

    def meets(self, demand: tuple[float, float]) -> bool:
        """Whether both shares are as large as demanded."""
        return self.voxels >= demand[0] and self.foreground >= demand[1]


def labels_of(logits: Tensor, head: str) -> Tensor:
    """The decisions for logits `(b, K, *S)`: uint8 or int16 `(b, *S)`, or bool `(b, K, *S)`."""
    if head == "sigmoid":
        return (logits > 0).cpu()
    labels = logits.argmax(dim=1)
    return labels.to(torch.uint8 if logits.shape[1] <= 256 else torch.int16).cpu()


def refer(engine: Engine, windows: Iterable[Tensor], head: str) -> Reference:
    """Label windows `(C, *patch)` until there is foreground enough, or enough windows.

    Windows of a single value, such as air, tell nothing; they are passed over while others come.

    Raises:
        InvalidValueError: There is no window.
    """
    batches: list[Tensor] = []
    labels: list[Tensor] = []
    foreground = 0
    for batch in gathered(windows, engine.batch):
        (logits,) = engine.run([batch])
        batches.append(batch)
        labels.append(labels_of(logits, head))
        foreground += int(claimed(labels[-1], head).sum())
        seen = len(batches) * engine.batch
        if seen >= WINDOWS[1] or (seen >= WINDOWS[0] and foreground >= FOREGROUND):
            break
    if not batches:
        raise InvalidValueError("no window to measure engines on", hint="name an engine")
    return Reference(batches, labels, foreground)


def gathered(windows: Iterable[Tensor], size: int) -> Iterable[Tensor]:
    """Batches of windows that hold more than one value; one of any kind if all are flat."""
    flat: Tensor | None = None
    waiting: list[Tensor] = []
    came = False
    for window in windows:
        if float(window.amin()) == float(window.amax()):
            flat = window
            continue
        waiting.append(window.clone())
        came = True
        if len(waiting) == size:
            yield torch.stack(waiting)
            waiting = []
    if not came and flat is not None:
        waiting = [flat]
    if waiting:
        yield torch.stack(waiting)


def claimed(labels: Tensor, head: str) -> Tensor:
    """Where labels say foreground, `(b, *S)`."""
    return labels.any(dim=1) if head == "sigmoid" else labels != 0


def compare(engine: Engine, reference: Reference, head: str) -> Agreement:
    """How far an engine's labels agree with the reference's; warms the engine up as well."""
    return agreement_of(engine.run(reference.batches), reference, head)


def agreement_of(results: Iterable[Tensor], reference: Reference, head: str) -> Agreement:
    """How far the labels of logits `(b, K, *S)` agree with the reference's."""
    same = voxels = same_there = there = 0
    for logits, wanted in zip(results, reference.labels, strict=True):
        found = labels_of(logits, head)
        equal = found == wanted
        equal = equal.all(dim=1) if head == "sigmoid" else equal
        either = claimed(found, head) | claimed(wanted, head)
        same, voxels = same + int(equal.sum()), voxels + equal.numel()
        same_there, there = same_there + int((equal & either).sum()), there + int(either.sum())
    return Agreement(same / max(1, voxels), same_there / there if there else 1.0)


def seconds_per_window(engine: Engine, reference: Reference, batches: int = TIMED) -> float:
    """Wall time of a window in a run whose logits are dropped."""
    windows = 0
    began = time.perf_counter()
    for logits in engine.run(islice(cycle(reference.batches), batches)):
        windows += logits.shape[0]
        last = logits
    if last.device.type == "cuda":
        torch.cuda.synchronize(last.device)
    return (time.perf_counter() - began) / windows
