"""Soft intersection over union, and the sum with cross-entropy of article 002."""

from torch import Tensor

from pipeline.losses.supervision import HeadsLoss
from pipeline.losses.target import compare

SMALLEST = 1e-7  # added to both sides of the fraction: two empty masks agree


def iou_loss(logits: Tensor, label: Tensor, *, sigmoid: bool = False) -> Tensor:
    """Return 1 - mean soft IoU of the foreground classes, of each case by itself.

    Args:
        logits: `(B, K, *S)`, in float32 or float64.
        label: `(B, 1, *S)` of integers; with `sigmoid`, or for K = 1, `(B, K, *S)` of 0 and 1.
        sigmoid: Overlapping regions instead of one label map.
    """
    p, truth = compare(logits, label, sigmoid=sigmoid).foreground()
    return 1 - _iou(p.flatten(2), truth.flatten(2)).mean()


def bce_iou_loss(logits: Tensor, label: Tensor, *, sigmoid: bool = False) -> Tensor:
    """Return mean cross-entropy + 1 - soft IoU over the flattened batch.

    Args:
        logits: `(B, K, *S)`, in float32 or float64.
        label: `(B, 1, *S)` of integers; with `sigmoid`, or for K = 1, `(B, K, *S)` of 0 and 1.
        sigmoid: Overlapping regions instead of one label map.

    Source: article 002, for one class.
    Deviations: takes logits; the union is sum(p + y) - sum(p y) + 1e-7, where the article
        subtracts and adds the 1e-7 and divides by zero on an empty mask. For several exclusive
        classes the softmax' cross-entropy and the foreground channels, flattened too.
    """
    compared = compare(logits, label, sigmoid=sigmoid)
    p, truth = compared.foreground()
    return compared.cross_entropy.mean() + 1 - _iou(p.flatten(), truth.flatten())


def _iou(p: Tensor, truth: Tensor) -> Tensor:
    """Soft IoU along the last axis."""
    both = (p * truth).sum(-1)
    union = (p + truth).sum(-1) - both
    return (both + SMALLEST) / (union.clamp_min(0) + SMALLEST)


class IoULoss(HeadsLoss):
    """`iou_loss` of a network's output, of every head.

    Args:
        sigmoid: Overlapping regions instead of one label map.
    """

    def __init__(self, *, sigmoid: bool = False) -> None:
        super().__init__()
        self.sigmoid = sigmoid

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head."""
        return iou_loss(logits, label, sigmoid=self.sigmoid)


class BCEIoULoss(IoULoss):
    """`bce_iou_loss` of a network's output, of every head.

    Args:
        sigmoid: Overlapping regions instead of one label map.
    """

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head."""
        return bce_iou_loss(logits, label, sigmoid=self.sigmoid)
