"""The engines by name, and the one way to open one."""

import importlib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import torch
from torch import Tensor

from pipeline.contract import Engine, Network
from pipeline.engines.kind import WindowEngine
from pipeline.engines.subject import CPU, Subject
from pipeline.errors import InvalidValueError, UnknownNameError

ENGINES: Final = {
    "torch": "pipeline.engines.eager:EagerEngine",
    "compile": "pipeline.engines.compiled:CompiledEngine",
    "openvino": "pipeline.engines.openvino:OpenVINOEngine",
    "onnxruntime": "pipeline.engines.onnxruntime:ONNXRuntimeEngine",
    "tensorrt": "pipeline.engines.tensorrt:TensorRTEngine",
}
PRECISIONS: Final = ("fp32", "bf16", "fp16", "int8")


def engine_kind(name: str) -> type[WindowEngine]:
    """The class of an engine; nothing of its runtime is imported.

    Raises:
        UnknownNameError: No engine has this name.
    """
    if name not in ENGINES:
        near = get_close_matches(name, ENGINES, n=1) or [", ".join(ENGINES)]
        raise UnknownNameError(f"no engine {name!r}", hint=f"try {near[0]}")
    module, attribute = ENGINES[name].split(":")
    kind: type[WindowEngine] = getattr(importlib.import_module(module), attribute)
    return kind


def open_engine(
    name: str,
    precision: str,
    network: Network,
    digest: str,
    patch: Sequence[int],
    batch: int = 1,
    device: torch.device = CPU,
    calibration: Sequence[Tensor] | None = None,
    streams: int | None = None,
) -> Engine:
    """Open an engine for batches `(batch, C, *patch)`; see `Subject` for the arguments.

    Args:
        name: A key of `ENGINES`.
        precision: One of `PRECISIONS`.
        network: In evaluation, on `device`.
        digest: SHA-256 of its weights: what is exported from them is kept in the cache.
        patch: The window.
        batch: Windows per forward.
        device: Where to compute.
        calibration: Prepared windows `(C, *patch)` for int8.
        streams: Forwards at once, where the engine can.

    Raises:
        UnknownNameError: No engine has this name.
        ResourceError: A package is missing, or the device is none of the engine's.
        InvalidValueError: The engine has not this precision on this machine.
        ConversionError: The engine can't take this network.
    """
    kind = engine_kind(name)
    kind.require(device)
    refuse_precision(kind, precision, device)
    subject = Subject(network, digest, tuple(patch), batch, device, calibration, streams)
    return kind(subject, precision)


def refuse_precision(kind: type[WindowEngine], precision: str, device: torch.device) -> None:
    """Refuse a precision that an engine has not on this machine.

    Raises:
        InvalidValueError: It has others.
    """
    if precision not in PRECISIONS:
        raise InvalidValueError(f"no precision {precision!r}", hint=f"use {', '.join(PRECISIONS)}")
    having = kind.precisions(device)
    if precision not in having:
        raise InvalidValueError(
            f"{kind.name} has no {precision} on this {device.type.upper()}",
            hint=f"use {', '.join(having)}",
        )
