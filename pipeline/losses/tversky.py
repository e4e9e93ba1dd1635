"""Tversky loss: a Dice that weighs false positives and false negatives apart."""

from torch import Tensor

from pipeline.errors import InvalidValueError
from pipeline.losses.dice import SMOOTH
from pipeline.losses.supervision import HeadsLoss
from pipeline.losses.target import all_but_channels, compare

ALPHA, BETA = 0.3, 0.7  # a missed voxel costs more than a wrong one


def tversky_loss(
    logits: Tensor,
    label: Tensor,
    *,
    sigmoid: bool = False,
    alpha: float = ALPHA,
    beta: float = BETA,
    smooth: float = SMOOTH,
) -> Tensor:
    """Return 1 - mean Tversky index of the foreground classes, each over the whole batch.

    Args:
        logits: `(B, K, *S)`, in float32 or float64.
        label: `(B, 1, *S)` of integers; with `sigmoid`, or for K = 1, `(B, K, *S)` of 0 and 1.
        sigmoid: Overlapping regions instead of one label map.
        alpha: Weight of the false positives.
        beta: Weight of the false negatives; with both 1/2 this is the Dice, `smooth` halved.
        smooth: Voxels added to both sides of the fraction.

    Source: Salehi et al. 2017, equation 3.
    """
    p, truth = compare(logits, label, sigmoid=sigmoid).foreground()
    axes = all_but_channels(p)
    both = (p * truth).sum(axes)
    wrong, missed = p.sum(axes) - both, truth.sum(axes) - both
    index = (both + smooth) / (both + alpha * wrong + beta * missed + smooth)
    return 1 - index.mean()


class TverskyLoss(HeadsLoss):
    """`tversky_loss` of a network's output, of every head.

    Args:
        sigmoid: Overlapping regions instead of one label map.
        alpha: Weight of the false positives, 0 or more.
        beta: Weight of the false negatives, 0 or more.
        smooth: Voxels added to both sides of the fraction.

    Raises:
        InvalidValueError: A weight is below 0.
    """

    def __init__(
        self,
        *,
        sigmoid: bool = False,
        alpha: float = ALPHA,
        beta: float = BETA,
        smooth: float = SMOOTH,
    ) -> None:
        super().__init__()
        if alpha < 0 or beta < 0:
            raise InvalidValueError(
                f"alpha is {alpha} and beta is {beta}", hint="give weights of 0 or more"
            )
        self.sigmoid, self.alpha, self.beta, self.smooth = sigmoid, alpha, beta, smooth

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head."""
        return tversky_loss(
            logits,
            label,
            sigmoid=self.sigmoid,
            alpha=self.alpha,
            beta=self.beta,
            smooth=self.smooth,
        )
