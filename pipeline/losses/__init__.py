"""Losses over logits: a file each, trained with by any network of the contract."""

from pipeline.losses.bce_dice import BCEDiceLoss
from pipeline.losses.border import BorderCrossEntropyLoss, border_weights
from pipeline.losses.dice import DiceLoss
from pipeline.losses.dicece import DiceCELoss, annealed_weights
from pipeline.losses.focal import FocalLoss
from pipeline.losses.guided import GuidedLoss, presence_loss
from pipeline.losses.iou import BCEIoULoss, IoULoss
from pipeline.losses.ms_ssim import MSSSIMLoss, ms_ssim
from pipeline.losses.supervision import HeadsLoss, nearest_label
from pipeline.losses.table import LOSSES
from pipeline.losses.tversky import TverskyLoss
from pipeline.losses.unet3plus import UNet3PlusLoss

__all__ = [
    "LOSSES",
    "BCEDiceLoss",
    "BCEIoULoss",
    "BorderCrossEntropyLoss",
    "DiceCELoss",
    "DiceLoss",
    "FocalLoss",
    "GuidedLoss",
    "HeadsLoss",
    "IoULoss",
    "MSSSIMLoss",
    "TverskyLoss",
    "UNet3PlusLoss",
    "annealed_weights",
    "border_weights",
    "ms_ssim",
    "nearest_label",
    "presence_loss",
]
