"""OpenVINO: three to eight times torch on a CPU, in fp32, bf16, fp16 or int8."""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.engines.exported import ConversionError, converting
from pipeline.engines.intermediate import fp32_folder, int8_folder, read
from pipeline.engines.kind import WindowEngine, filled
from pipeline.engines.subject import Subject
from pipeline.engines.telemetry import silence
from pipeline.engines.threads import own_threads, torch_held_back
from pipeline.errors import ResourceError

HINTS: Final = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
CAPABILITIES: Final = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16", "int8": "INT8"}
STREAMS: Final = 2  # two forwards of one thread each beat one of two by 5 to 25 %


class OpenVINOEngine(WindowEngine):
    """An asynchronous queue of one request more than streams, emptied in the order it was filled.

    Attributes:
        streams: Forwards at once.
    """

    name = "openvino"
    packages = ("openvino",)
    extra = "openvino"

    def __init__(self, subject: Subject, precision: str) -> None:
        self.precision, self.batch, self.threads = precision, subject.batch, own_threads()
        self.streams = max(1, min(subject.streams or STREAMS, self.threads))
        folder = int8_folder(subject) if precision == "int8" else fp32_folder(subject)
        model = read(folder)
        with converting("OpenVINO's compilation"):
            compiled = _core().compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": HINTS[precision],
                    "INFERENCE_NUM_THREADS": self.threads,
                    "NUM_STREAMS": self.streams,
                    "ENABLE_CPU_PINNING": False,  # several processes would share the same cores
                },
            )
        refuse_other_precision(compiled, precision)
        self._requests: list[Any] = [
            compiled.create_infer_request() for _ in range(self.streams + 1)
        ]

    @classmethod
    def require(cls, device: torch.device) -> None:
        """Refuse without the package, and on a GPU: this is the engine of CPUs."""
        super().require(device)
        if device.type != "cpu":
            raise ResourceError("openvino computes on the CPU only", hint="give --device cpu")

    @classmethod
    def precisions(cls, device: torch.device) -> tuple[str, ...]:
        """As OpenVINO lists this CPU's capabilities: of those some may still be slow."""
        having = set(_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        return tuple(name for name, flag in CAPABILITIES.items() if flag in having)

    def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield logits that lie in OpenVINO's own memory; no copy is made."""
        free = deque(self._requests)
        waiting: deque[tuple[Any, Tensor, int]] = deque()
        with torch_held_back():
            try:
                for batch in batches:
                    if not free:
                        yield from self._finish(waiting, free)
                    request, whole = free.popleft(), filled(batch, self.batch)
                    request.start_async({0: whole.numpy()}, share_inputs=True)
                    waiting.append((request, whole, batch.shape[0]))  # input must outlive request
                while waiting:
                    yield from self._finish(waiting, free)
            finally:
                for request, _, _ in waiting:
                    request.wait()

    def _finish(
        self, waiting: deque[tuple[Any, Tensor, int]], free: deque[Any]
    ) -> Iterator[Tensor]:
        """Yield the oldest request's logits, then let it be used again."""
        request, _, size = waiting.popleft()
        request.wait()
        yield torch.from_numpy(request.get_output_tensor(0).data)[:size]
        free.append(request)

    def close(self) -> None:
        """Give the requests back."""
        self._requests = []


def refuse_other_precision(compiled: Any, precision: str) -> None:
    """Refuse a compiled model that computes in something else than was asked for.

    Raises:
        ConversionError: It says another precision, or holds no convolution in int8.
    """
    hint = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    found = hint if hint != HINTS[precision] else precision
    if precision == "int8" and found == precision and not has_int8(compiled):
        found = "fp32"
    if found != precision:
        raise ConversionError(
            f"openvino computes this network in {found} when asked for {precision}",
            hint="use another precision",
        )


def has_int8(compiled: Any) -> bool:
    """Whether a convolution of the model that really runs is one of integers."""
    for op in compiled.get_runtime_model().get_ops():
        facts = op.get_rt_info()
        kind, precision = facts["layerType"].astype(str), facts["runtimePrecision"].astype(str)
        if kind in ("Convolution", "Deconvolution") and precision in ("i8", "u8"):
            return True
    return False


@cache
def _core() -> Any:
    """OpenVINO's registry of devices, one for the process."""
    silence()
    import openvino

    return openvino.Core()
