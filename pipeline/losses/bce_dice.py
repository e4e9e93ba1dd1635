"""UNet++'s hybrid loss: half a cross-entropy plus soft Dice."""

from torch import Tensor

from pipeline.losses.dice import SMOOTH, dice_of_sums
from pipeline.losses.supervision import HeadsLoss
from pipeline.losses.target import compare

ENTROPY_WEIGHT = 0.5


def bce_dice_loss(
    logits: Tensor,
    label: Tensor,
    *,
    sigmoid: bool = False,
    entropy_weight: float = ENTROPY_WEIGHT,
    smooth: float = SMOOTH,
) -> Tensor:
    """Return half the mean cross-entropy + 1 - soft Dice over the flattened foreground.

    Args:
        logits: `(B, K, *S)`, in float32 or float64.
        label: `(B, 1, *S)` of integers; with `sigmoid`, or for K = 1, `(B, K, *S)` of 0 and 1.
        sigmoid: Overlapping regions instead of one label map.
        entropy_weight: Factor of the cross-entropy.
        smooth: Voxels added to both sides of the Dice.

    Source: Zhou et al., arXiv 1807.10165, equation 2, and the authors' code for the smoothing.
    Deviations: 1 is added, so that the best is 0; for several exclusive classes the softmax'
        cross-entropy.
    """
    compared = compare(logits, label, sigmoid=sigmoid)
    p, truth = compared.foreground()
    dice = dice_of_sums((p * truth).sum(), p.sum(), truth.sum(), smooth)
    return entropy_weight * compared.cross_entropy.mean() + 1 - dice


class BCEDiceLoss(HeadsLoss):
    """`bce_dice_loss` of a network's output, of every head.

    Args:
        sigmoid: Overlapping regions instead of one label map.
        entropy_weight: Factor of the cross-entropy.
        smooth: Voxels added to both sides of the Dice.
    """

    def __init__(
        self,
        *,
        sigmoid: bool = False,
        entropy_weight: float = ENTROPY_WEIGHT,
        smooth: float = SMOOTH,
    ) -> None:
        super().__init__()
        self.sigmoid, self.entropy_weight, self.smooth = sigmoid, entropy_weight, smooth

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head."""
        return bce_dice_loss(
            logits,
            label,
            sigmoid=self.sigmoid,
            entropy_weight=self.entropy_weight,
            smooth=self.smooth,
        )
