"""ONNX Runtime: twice torch on a CPU, in fp32."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from pipeline.engines.exported import converting
from pipeline.engines.kind import WindowEngine, filled
from pipeline.engines.onnx import FILE, onnx_folder
from pipeline.engines.subject import Subject
from pipeline.engines.threads import own_threads, torch_held_back
from pipeline.errors import ResourceError

QUIET = 3  # errors only


class ONNXRuntimeEngine(WindowEngine):
    """One session on all threads, which sleep while nothing is computed."""

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx", "onnxscript")
    extra = "onnx"

    def __init__(self, subject: Subject, precision: str) -> None:
        self.precision, self.batch, self.threads = precision, subject.batch, own_threads()
        file = onnx_folder(subject) / FILE
        with converting("ONNX Runtime"):
            import onnxruntime

            onnxruntime.set_default_logger_severity(QUIET)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self.threads
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self._session: Any = onnxruntime.InferenceSession(
                file, options, providers=["CPUExecutionProvider"]
            )

    @classmethod
    def require(cls, device: torch.device) -> None:
        """Refuse without the packages, and on a GPU: TensorRT is the engine for those."""
        super().require(device)
        if device.type != "cpu":
            raise ResourceError("onnxruntime computes on the CPU only", hint="give --device cpu")

    @classmethod
    def precisions(cls, device: torch.device) -> tuple[str, ...]:
        """The exported file's own."""
        return ("fp32",)

    def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield logits, each in memory of its own."""
        with torch_held_back():
            for batch in batches:
                given = {"image": filled(batch, self.batch).numpy()}
                (logits,) = self._session.run(["logits"], given)
                yield torch.from_numpy(logits)[: batch.shape[0]]

    def close(self) -> None:
        """Give the session back."""
        self._session = None
