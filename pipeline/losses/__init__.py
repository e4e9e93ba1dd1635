"""Losses over logits: a file each, trained with by any network of the contract."""

from pipeline.losses.dicece import DiceCELoss, annealed_weights, nearest_label

__all__ = ["DiceCELoss", "annealed_weights", "nearest_label"]
