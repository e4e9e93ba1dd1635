"""Soft Dice, for label maps and for overlapping regions."""

from torch import Tensor

from pipeline.losses.supervision import HeadsLoss
from pipeline.losses.target import all_but_channels, compare

SMOOTH = 1.0  # voxels; keeps the Dice of an empty class finite


def dice_loss(
    logits: Tensor, label: Tensor, *, sigmoid: bool = False, smooth: float = SMOOTH
) -> Tensor:
    """Return 1 - mean soft Dice of the foreground classes, each over the whole batch.

    Args:
        logits: `(B, K, *S)`, in float32 or float64.
        label: `(B, 1, *S)` of integers; with `sigmoid`, or for K = 1, `(B, K, *S)` of 0 and 1.
        sigmoid: Overlapping regions instead of one label map.
        smooth: Voxels added to both sides of the fraction.

    Source: Drozdzal et al. 2016; Milletari et al. 2016 square the denominator's terms instead.
    """
    p, truth = compare(logits, label, sigmoid=sigmoid).foreground()
    axes = all_but_channels(p)
    dice = dice_of_sums((p * truth).sum(axes), p.sum(axes), truth.sum(axes), smooth)
    return 1 - dice.mean()


def dice_of_sums(
    both: Tensor, predicted: Tensor, labelled: Tensor, smooth: float = SMOOTH
) -> Tensor:
    """Return the soft Dice from sums over voxels, one value a class."""
    return (2 * both + smooth) / (predicted + labelled + smooth)


class DiceLoss(HeadsLoss):
    """`dice_loss` of a network's output, of every head.

    Args:
        sigmoid: Overlapping regions instead of one label map.
        smooth: Voxels added to both sides of the fraction.
    """

    def __init__(self, *, sigmoid: bool = False, smooth: float = SMOOTH) -> None:
        super().__init__()
        self.sigmoid, self.smooth = sigmoid, smooth

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head."""
        return dice_loss(logits, label, sigmoid=self.sigmoid, smooth=self.smooth)
