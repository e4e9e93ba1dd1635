"""From logits to classes, and to probabilities as bytes."""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROW: Final = 2**15  # voxels at a time: what all passes over a class touch stays in the cache
FINITE: Final = 1e-12  # below any probability that counts


def classes_of(logits: Tensor, head: str) -> NDArray[Any]:
    """Decide for `(K, *S)`: `(1, *S)` indices of the largest, or `(K, *S)` of 0 and 1 by sign.

    Indices are uint8, uint16 for more than 256 classes. Of equal ones the lowest wins, as in
    `argmax`.

    Args:
        logits: float32.
        head: `softmax` or `sigmoid`.
    """
    if head == "sigmoid":
        return (logits > 0).to(torch.uint8).cpu().numpy()
    if logits.device.type != "cpu":
        wide = torch.uint8 if len(logits) <= 256 else torch.int32
        index = logits.argmax(0, keepdim=True).to(wide).cpu().numpy()
        return index if wide == torch.uint8 else index.astype(np.uint16)
    return _largest(logits.reshape(len(logits), -1).numpy()).reshape(1, *logits.shape[1:])


def _largest(values: NDArray[np.float32]) -> NDArray[Any]:
    """Index of the largest of `(K, n)`, many times faster than argmax along the slow axis."""
    number, size = values.shape
    found = np.zeros(size, np.uint8 if number <= 256 else np.uint16)
    for low in range(0, size, ROW):
        part, index = values[:, low : low + ROW], found[low : low + ROW]
        best = part[0].copy()
        larger, candidate = np.empty(len(best), np.bool_), np.empty_like(index)
        for k in range(1, number):
            np.greater(part[k], best, out=larger)
            np.multiply(larger, found.dtype.type(k), out=candidate)
            np.maximum(index, candidate, out=index)  # a later class has the larger index
            np.maximum(best, part[k], out=best)
    return found


def probabilities_of(logits: Tensor, head: str) -> Tensor:
    """Probabilities `(K, *S)` of logits `(K, *S)`."""
    return logits.sigmoid() if head == "sigmoid" else logits.softmax(dim=0)


def logits_of(probabilities: Tensor, head: str) -> Tensor:
    """Logits that have these probabilities, kept off 0 and 1."""
    if head == "sigmoid":
        return torch.logit(probabilities, eps=1e-7)
    return probabilities.clamp_min(FINITE).log()


def bytes_of(probabilities: Tensor) -> NDArray[np.uint8]:
    """Probabilities in steps of 1/255."""
    return (probabilities * 255).round().to(torch.uint8).cpu().numpy()
