"""torch as it is: the reference that every other engine is compared with."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from pipeline.engines.allocator import tune_for_windows
from pipeline.engines.kind import WindowEngine
from pipeline.engines.staging import staged
from pipeline.engines.subject import Subject
from pipeline.engines.threads import own_threads, torch_threads

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # of x86 and of Arm


class EagerEngine(WindowEngine):
    """Forwards in torch; reduced precision by autocast.

    On a GPU windows are copied while the ones before them are computed, and fp32 means fp32: the
    tensor cores' 19-bit products are off.
    """

    name = "torch"

    def __init__(self, subject: Subject, precision: str) -> None:
        self.precision, self.batch, self.device = precision, subject.batch, subject.device
        on_gpu = self.device.type == "cuda"
        self.threads = 0 if on_gpu else own_threads()
        if not on_gpu:
            tune_for_windows()
        self._forward: Callable[[Tensor], Tensor] | None = subject.network.eval()

    @classmethod
    def precisions(cls, device: torch.device) -> tuple[str, ...]:
        """As the hardware has them: torch would emulate the others, many times slower."""
        if device.type == "cuda":
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            return ("fp32", "bf16", "fp16") if bf16 else ("fp32", "fp16")
        flags = torch.cpu.get_capabilities()
        return ("fp32", "bf16") if any(flags.get(flag) for flag in BF16_FLAGS) else ("fp32",)

    def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield logits on the engine's device, one batch after the other."""
        for batch in staged(batches, self.device):
            yield self._compute(batch)

    @torch.no_grad()
    def _compute(self, batch: Tensor) -> Tensor:
        assert self._forward is not None, "the engine is closed"
        with torch_threads(self.threads), autocast(self.device, self.precision):
            return self._forward(batch).float()

    def close(self) -> None:
        """Let go of the network."""
        self._forward = None


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Make torch compute in `precision` and in nothing else; on a GPU by the fastest kernels."""
    with ExitStack() as entered:
        if device.type == "cuda":
            flags = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
            entered.enter_context(flags)
        if precision in DTYPES:
            entered.enter_context(torch.autocast(device.type, dtype=DTYPES[precision]))
        yield
