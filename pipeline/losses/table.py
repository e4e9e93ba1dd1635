"""The table of losses: a new one is a file beside this one and a row below."""

from typing import Final

LOSSES: Final = {
    "dice": "pipeline.losses.dice:DiceLoss",
    "dicece": "pipeline.losses.dicece:DiceCELoss",
    "focal": "pipeline.losses.focal:FocalLoss",
    "tversky": "pipeline.losses.tversky:TverskyLoss",
    "iou": "pipeline.losses.iou:IoULoss",
    "bce_iou": "pipeline.losses.iou:BCEIoULoss",
    "bce_dice": "pipeline.losses.bce_dice:BCEDiceLoss",
    "border": "pipeline.losses.border:BorderCrossEntropyLoss",
    "ms_ssim": "pipeline.losses.ms_ssim:MSSSIMLoss",
    "unet3plus": "pipeline.losses.unet3plus:UNet3PlusLoss",
}
