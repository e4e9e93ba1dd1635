"""Exported files read back, to be compared with the network that they were made from."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pipeline.engines.exported import converting
from pipeline.engines.telemetry import silence

Forward = Callable[[Tensor], Tensor]


def reader_of(form: str) -> Callable[[Path], Forward]:
    """What opens a file of a format, as a function from a batch to logits."""
    return {"onnx": read_onnx, "openvino": read_openvino, "torch": read_torch}[form]


def read_torch(file: Path) -> Forward:
    """A program of torch's export."""
    forward = torch.export.load(file).module()

    @torch.no_grad()
    def run(batch: Tensor) -> Tensor:
        logits: Tensor = forward(batch)
        return logits.float()

    return run


def read_onnx(file: Path) -> Forward:
    """An ONNX file, in ONNX Runtime."""
    with converting("ONNX Runtime"):
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(batch: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {"image": batch.numpy()})[0])

    return run


def read_openvino(file: Path) -> Forward:
    """An OpenVINO model, computed in fp32 but for what is quantised in it."""
    silence()
    import openvino

    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(batch: Tensor) -> Tensor:
        return torch.from_numpy(compiled(batch.numpy())[0].copy())

    return run
