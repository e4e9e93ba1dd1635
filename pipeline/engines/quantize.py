"""int8 by post-training quantisation that keeps the labels.

Measured on two learned networks: with accurate bias correction and the first and last convolution
left in fp32, 99.7 % of the foreground agree with fp32, against 98.1 to 99.4 without; at the same
speed.
"""

import contextlib
import hashlib
import io
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.engines.kind import require_packages
from pipeline.engines.telemetry import silence

CONVOLUTIONS: Final = frozenset(
    {
        "Convolution",
        "ConvolutionBackpropData",
        "GroupConvolution",
        "GroupConvolutionBackpropData",
    }
)


def quantized(model: Any, windows: Sequence[Tensor], batch: int) -> Any:
    """Quantise OpenVINO's `model` on windows `(C, *patch)`.

    Raises:
        ResourceError: NNCF is not installed.
    """
    require_packages("int8", ("nncf",), "openvino")
    silence()
    loggers = logging.getLoggerClass()
    with contextlib.redirect_stdout(io.StringIO()):  # NNCF's progress bars and log
        import nncf

        logging.setLoggerClass(loggers)  # NNCF puts its own in the place of all loggers'
        return nncf.quantize(
            model,
            nncf.Dataset(batches(windows, batch)),
            subset_size=len(windows),
            fast_bias_correction=False,
            ignored_scope=nncf.IgnoredScope(names=sorted(outer_convolutions(model))),
        )


def batches(windows: Sequence[Tensor], batch: int) -> list[Any]:
    """Windows as arrays `(batch, C, *patch)`; the last ones are repeated to fill a batch."""
    whole = -(-len(windows) // batch) * batch
    chosen = [windows[min(i, len(windows) - 1)].float() for i in range(whole)]
    return [torch.stack(chosen[i : i + batch]).numpy() for i in range(0, whole, batch)]


def outer_convolutions(model: Any) -> set[str]:
    """Names of the convolutions that no other one precedes, and of those that none follows."""
    order = model.get_ordered_ops()
    names = {op.get_friendly_name() for op in order if op.get_type_name() in CONVOLUTIONS}
    edges = [
        (
            op.get_friendly_name(),
            [value.get_node().get_friendly_name() for value in op.input_values()],
        )
        for op in order
    ]
    forward: dict[str, bool] = {}
    for name, sources in edges:
        forward[name] = any(s in names or forward.get(s, False) for s in sources)
    followed: dict[str, bool] = {}
    for name, sources in reversed(edges):
        passes = name in names or followed.get(name, False)
        for source in sources:
            followed[source] = followed.get(source, False) or passes
    return {n for n in names if not forward[n] or not followed.get(n, False)}


def calibration_hash(windows: Iterable[Tensor]) -> str:
    """SHA-256 of windows."""
    digest = hashlib.sha256()
    for window in windows:
        digest.update(window.contiguous().float().numpy().tobytes())
    return digest.hexdigest()
