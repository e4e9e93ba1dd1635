"""UNet 3+'s hybrid loss: focal for voxels, MS-SSIM for patches, IoU for the whole map."""

from torch import Tensor

from pipeline.losses.focal import GAMMA, focal_loss
from pipeline.losses.iou import iou_loss
from pipeline.losses.ms_ssim import ms_ssim_loss
from pipeline.losses.supervision import HeadsLoss


def unet3plus_loss(
    logits: Tensor, label: Tensor, *, sigmoid: bool = False, gamma: float = GAMMA
) -> Tensor:
    """Return focal + (1 - MS-SSIM) + (1 - IoU).

    Args:
        logits: `(B, K, *S)`, in float32 or float64.
        label: `(B, 1, *S)` of integers; with `sigmoid`, or for K = 1, `(B, K, *S)` of 0 and 1.
        sigmoid: Overlapping regions instead of one label map.
        gamma: The focal loss' exponent.

    Source: Huang et al., arXiv 2004.08790, section 2.2.
    """
    voxels = focal_loss(logits, label, sigmoid=sigmoid, gamma=gamma)
    patches = ms_ssim_loss(logits, label, sigmoid=sigmoid)
    return voxels + patches + iou_loss(logits, label, sigmoid=sigmoid)


class UNet3PlusLoss(HeadsLoss):
    """`unet3plus_loss` of a network's output, of every head.

    Args:
        sigmoid: Overlapping regions instead of one label map.
        gamma: The focal loss' exponent.
    """

    def __init__(self, *, sigmoid: bool = False, gamma: float = GAMMA) -> None:
        super().__init__()
        self.sigmoid, self.gamma = sigmoid, gamma

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head."""
        return unet3plus_loss(logits, label, sigmoid=self.sigmoid, gamma=self.gamma)
