"""Focal loss: cross-entropy that counts the voxels which are already right for little."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.errors import InvalidValueError
from pipeline.losses.supervision import HeadsLoss
from pipeline.losses.target import Comparison, compare

GAMMA = 2.0


def focal_loss(
    logits: Tensor,
    label: Tensor,
    *,
    sigmoid: bool = False,
    gamma: float = GAMMA,
    alpha: Sequence[float] | float | None = None,
) -> Tensor:
    """Return the mean over voxels of -alpha (1 - p)^gamma log p, p that of the true class.

    Args:
        logits: `(B, K, *S)`, in float32 or float64.
        label: `(B, 1, *S)` of integers; with `sigmoid`, or for K = 1, `(B, K, *S)` of 0 and 1.
        sigmoid: Overlapping regions instead of one label map.
        gamma: 0 is the plain cross-entropy.
        alpha: For a label map one factor per class, background first; for regions the factor of
            the inside, with 1 - alpha outside; None: all alike.

    Raises:
        InvalidValueError: `alpha` is of another form, or of another number of classes.

    Source: Lin et al. 2017, equation 5.
    """
    compared = compare(logits, label, sigmoid=sigmoid)
    return _focal(compared, gamma, alpha)


def _focal(compared: Comparison, gamma: float, alpha: Sequence[float] | float | None) -> Tensor:
    """The focal loss of either kind of label."""
    truth, log_p = compared.truth, compared.log_p
    if compared.log_not_p is None:
        log_true = (log_p * truth).sum(1)
        factor = None if alpha is None else (_per_class(alpha, log_p) * truth).sum(1)
    else:
        log_true = log_p * truth + compared.log_not_p * (1 - truth)
        factor = None if alpha is None else _inside(alpha) * truth
        factor = None if factor is None else factor + (1 - _inside(alpha)) * (1 - truth)
    # 1 - p by expm1, which is exact near p = 1; the floor keeps the power's gradient finite
    wrong = -torch.expm1(log_true)
    loss = -log_true if gamma == 0 else -log_true * wrong.clamp_min(1e-12) ** gamma
    return loss.mean() if factor is None else (loss * factor).mean()


def _per_class(alpha: Sequence[float] | float, log_p: Tensor) -> Tensor:
    """One factor a class, in a shape that multiplies `(B, K, *S)`."""
    values = list(alpha) if isinstance(alpha, Sequence) else []
    if len(values) != log_p.shape[1]:
        raise InvalidValueError(
            f"alpha is {alpha} for {log_p.shape[1]} classes",
            hint="give one factor for each class, background first",
        )
    return log_p.new_tensor(values).reshape(-1, *[1] * (log_p.ndim - 2))


def _inside(alpha: Sequence[float] | float | None) -> float:
    """The factor of a region's inside."""
    if not isinstance(alpha, float | int) or not 0 <= alpha <= 1:
        raise InvalidValueError(f"alpha is {alpha}", hint="give a number from 0 to 1 for regions")
    return float(alpha)


class FocalLoss(HeadsLoss):
    """`focal_loss` of a network's output, of every head.

    Args:
        sigmoid: Overlapping regions instead of one label map.
        gamma: 0 or more; 0 is the plain cross-entropy.
        alpha: Factors of the classes, or of a region's inside; None: all alike.

    Raises:
        InvalidValueError: `gamma` is below 0.
    """

    def __init__(
        self,
        *,
        sigmoid: bool = False,
        gamma: float = GAMMA,
        alpha: Sequence[float] | float | None = None,
    ) -> None:
        super().__init__()
        if gamma < 0:
            raise InvalidValueError(f"gamma is {gamma}", hint="give 0 or more, as 2")
        self.sigmoid, self.gamma, self.alpha = sigmoid, gamma, alpha

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head."""
        return focal_loss(logits, label, sigmoid=self.sigmoid, gamma=self.gamma, alpha=self.alpha)
