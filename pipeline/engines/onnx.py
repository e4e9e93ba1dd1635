"""A network as an ONNX file for one window shape."""

from pathlib import Path
from typing import Final

import torch

from pipeline.engines.artifacts import cached
from pipeline.engines.exported import converting, exported_program
from pipeline.engines.kind import require_packages
from pipeline.engines.subject import Subject

FILE: Final = "model.onnx"
PACKAGES: Final = ("onnx", "onnxscript")


def write_onnx(subject: Subject, path: Path) -> None:
    """Write the network with an input `image` and an output `logits`, both of fixed shape.

    Raises:
        ConversionError: The network can't be written in ONNX.
        ResourceError: `onnx` or `onnxscript` is not installed.
    """
    require_packages("ONNX", PACKAGES, "onnx")
    program = exported_program(subject)
    with converting("torch.onnx.export"):
        torch.onnx.export(
            program,
            f=path,
            input_names=["image"],
            output_names=["logits"],
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def onnx_folder(subject: Subject) -> Path:
    """The ONNX file's folder in the cache."""
    return cached("onnx", subject, PACKAGES, lambda folder: write_onnx(subject, folder / FILE))
