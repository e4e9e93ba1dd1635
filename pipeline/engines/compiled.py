"""torch.compile: kernels generated for one network and one window shape."""

import copy
import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from pipeline.engines.eager import EagerEngine, autocast
from pipeline.engines.exported import converting
from pipeline.engines.kind import WindowEngine, filled
from pipeline.engines.staging import staged
from pipeline.engines.subject import Subject
from pipeline.engines.threads import own_threads, torch_threads
from pipeline.errors import ResourceError

COMPILERS = ("g++", "clang++", "c++")


class CompiledEngine(WindowEngine):
    """The network through torch's inductor: frozen weights on a CPU, CUDA graphs on a GPU.

    Compilation happens when the engine is opened, so that a failure shows there.
    """

    name = "compile"

    def __init__(self, subject: Subject, precision: str) -> None:
        self.precision, self.batch, self.device = precision, subject.batch, subject.device
        self.threads = 0 if self.device.type == "cuda" else own_threads()
        how: dict[str, Any] = {"mode": "reduce-overhead"}
        if self.device.type == "cpu":
            how = {"options": {"freezing": True}}
        # a copy: freezing takes the weights out of the module it compiles
        network = copy.deepcopy(subject.network).eval()
        self._forward: Callable[[Tensor], Tensor] | None = torch.compile(
            network, fullgraph=True, dynamic=False, **how
        )
        with converting("torch.compile"):
            self._compute(torch.zeros(subject.shape, device=self.device))

    @classmethod
    def require(cls, device: torch.device) -> None:
        """Refuse where there is no C++ compiler, which the kernels for a CPU need."""
        super().require(device)
        if device.type == "cpu" and not any(map(shutil.which, COMPILERS)):
            raise ResourceError("compile needs a C++ compiler", hint="install g++")

    @classmethod
    def precisions(cls, device: torch.device) -> tuple[str, ...]:
        """Torch's own."""
        return EagerEngine.precisions(device)

    def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield logits on the engine's device; on a GPU the next ones overwrite them."""
        for batch in staged(batches, self.device):
            yield self._compute(filled(batch, self.batch))[: batch.shape[0]]

    @torch.no_grad()
    def _compute(self, batch: Tensor) -> Tensor:
        assert self._forward is not None, "the engine is closed"
        if self.device.type == "cuda":  # the last logits may be overwritten
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with torch_threads(self.threads), autocast(self.device, self.precision):
            return self._forward(batch).float()

    def close(self) -> None:
        """Let go of the kernels."""
        self._forward = None
