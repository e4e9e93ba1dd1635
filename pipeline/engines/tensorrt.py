"""TensorRT: one engine built for a GPU, from the ONNX file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.engines.artifacts import cached
from pipeline.engines.exported import ConversionError, converting
from pipeline.engines.kind import WindowEngine, filled
from pipeline.engines.machine import device_name
from pipeline.engines.onnx import FILE, PACKAGES, onnx_folder
from pipeline.engines.staging import staged
from pipeline.engines.subject import Subject
from pipeline.errors import ResourceError

PLAN: Final = "model.plan"


class TensorRTEngine(WindowEngine):
    """A plan that belongs to one kind of GPU and one version of TensorRT, kept in the cache.

    Written against TensorRT 10. In fp16 TensorRT may keep layers in fp32 where that is faster; in
    fp32 the tensor cores' 19-bit products are off.
    """

    name = "tensorrt"
    packages = ("tensorrt", *PACKAGES)

    def __init__(self, subject: Subject, precision: str) -> None:
        self.precision, self.batch, self.threads = precision, subject.batch, 0
        self.device = subject.device
        folder = cached(
            f"tensorrt-{precision}",
            subject,
            ("tensorrt", *PACKAGES),
            lambda folder: build(subject, precision, folder / PLAN),
            gpu=device_name(subject.device),
        )
        import tensorrt

        with converting("TensorRT"), torch.cuda.device(self.device):
            self._runtime: Any = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
            plan = self._runtime.deserialize_cuda_engine((folder / PLAN).read_bytes())
            self._context: Any = plan.create_execution_context()
            shape = tuple(self._context.get_tensor_shape("logits"))
            self._logits = torch.empty(shape, device=self.device)
            self._context.set_tensor_address("logits", self._logits.data_ptr())

    @classmethod
    def require(cls, device: torch.device) -> None:
        """Refuse without a GPU, and without the packages."""
        if device.type != "cuda":
            raise ResourceError("tensorrt computes on GPUs only", hint="give --device cuda")
        super().require(device)

    @classmethod
    def precisions(cls, device: torch.device) -> tuple[str, ...]:
        """Those that the engine is built for here."""
        return ("fp32", "fp16")

    def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield logits on the GPU; the next ones overwrite them."""
        with torch.cuda.device(self.device):
            for batch in staged(batches, self.device):
                whole = filled(batch, self.batch)
                self._context.set_tensor_address("image", whole.data_ptr())
                stream = torch.cuda.current_stream(self.device).cuda_stream
                if not self._context.execute_async_v3(stream):
                    raise RuntimeError("TensorRT refused a forward")
                yield self._logits[: batch.shape[0]]

    def close(self) -> None:
        """Give the GPU's memory back."""
        self._context = self._runtime = None
        self._logits = torch.empty(0)


def build(subject: Subject, precision: str, path: Path) -> None:
    """Write the plan for this GPU.

    Raises:
        ConversionError: TensorRT can't take the network.
    """
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    with torch.cuda.device(subject.device):  # a builder belongs to the GPU it is made on
        builder = tensorrt.Builder(logger)
        network = builder.create_network(0)
        parser = tensorrt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(onnx_folder(subject) / FILE)):
            raise ConversionError(
                f"TensorRT can't read the network: {parser.get_error(0).desc()}",
                hint="use another engine, such as torch",
            )
        config = builder.create_builder_config()
        config.clear_flag(tensorrt.BuilderFlag.TF32)
        if precision == "fp16":
            config.set_flag(tensorrt.BuilderFlag.FP16)
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ConversionError(
            f"TensorRT can't build the network in {precision}",
            hint="use another engine, such as torch",
        )
    path.write_bytes(plan)
