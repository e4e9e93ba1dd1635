"""Logits and labels as the losses compare them: probabilities, one-hot copies, cross-entropy.

Two kinds of label: a label map `(B, 1, *S)` of integers, whose classes exclude each other
(softmax), and overlapping regions `(B, K, *S)` of 0 and 1 (sigmoid). One class alone, K = 1, is
a region, whatever the setting.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import InvalidValueError


@dataclass(frozen=True, slots=True)
class Comparison:
    """Prediction and truth of one head in the same form.

    Attributes:
        log_p: Logarithm of each class' probability `(B, K, *S)`.
        log_not_p: Logarithm of one minus it; None for a label map.
        truth: `(B, K, *S)`, 0 or 1, in the type of the logits.
    """

    log_p: Tensor
    log_not_p: Tensor | None
    truth: Tensor

    @property
    def cross_entropy(self) -> Tensor:
        """Of each voxel: `(B, *S)` for a label map, `(B, K, *S)` for regions."""
        if self.log_not_p is None:
            return -(self.log_p * self.truth).sum(1)
        return -(self.log_p * self.truth + self.log_not_p * (1 - self.truth))

    def foreground(self) -> tuple[Tensor, Tensor]:
        """Return probabilities and truth without the background, both `(B, F, *S)`."""
        first = 1 if self.log_not_p is None else 0
        return self.log_p[:, first:].exp(), self.truth[:, first:]


def compare(logits: Tensor, label: Tensor, *, sigmoid: bool = False) -> Comparison:
    """Bring logits `(B, K, *S)` and their label, `(B, 1, *S)` or regions, to one form.

    Raises:
        InvalidValueError: The label has another number of channels than it should.
        RuntimeError: From torch, for a label outside 0 to K - 1 (on a CPU).
    """
    classes = logits.shape[1]
    regions = sigmoid or classes == 1
    expected = classes if regions else 1
    if label.shape[1] != expected:
        raise InvalidValueError(
            f"a label of {label.shape[1]} channels for logits of {classes}",
            hint=f"give {expected}: regions have one per class, a label map has one in all",
        )
    if regions:
        truth = label.to(logits.dtype)
        return Comparison(functional.logsigmoid(logits), functional.logsigmoid(-logits), truth)
    truth = torch.zeros_like(logits).scatter_(1, label.long(), 1.0)
    return Comparison(functional.log_softmax(logits, dim=1), None, truth)


def all_but_channels(logits: Tensor) -> tuple[int, ...]:
    """Axes of `(B, K, *S)` without K."""
    return (0, *range(2, logits.ndim))
