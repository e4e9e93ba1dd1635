"""The extra loss of a classification-guided network, on top of any loss of its heads."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.contract import GuidedOutput
from pipeline.errors import InvalidValueError
from pipeline.losses.supervision import Output


def presence_loss(class_logits: Tensor, label: Tensor) -> Tensor:
    """Return the cross-entropy of `(B, 2)`, absent and present, with what the label has.

    Args:
        class_logits: Index 0 for a case without any foreground, 1 for one with.
        label: `(B, C, *S)`, a label map or regions; above 0 is foreground.

    Source: Huang et al., arXiv 2004.08790, section 2.3.
    """
    present = (label.as_subclass(Tensor) > 0).flatten(1).any(1).long()
    logits = class_logits.as_subclass(Tensor)
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return functional.cross_entropy(logits, present)


class GuidedLoss(nn.Module):
    """A loss of the heads, plus `presence_loss` where the output has class logits.

    Args:
        segmentation: Any loss of `(output, label)`.
        weight: Factor of the classification, 0 or more.

    Attributes:
        progress: Share of the training that is done; handed to `segmentation`.

    Raises:
        InvalidValueError: `weight` is below 0.
    """

    def __init__(self, segmentation: nn.Module, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise InvalidValueError(f"weight is {weight}", hint="give 0 or more")
        self.segmentation, self.weight = segmentation, weight
        self._progress = 0.0

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0 to 1."""
        return self._progress

    @progress.setter
    def progress(self, done: float) -> None:
        self._progress = done
        if hasattr(self.segmentation, "progress"):
            self.segmentation.progress = done  # type: ignore[assignment]

    def forward(self, output: Output | GuidedOutput, label: Tensor) -> Tensor:
        """Return the weighted sum as a scalar in float32 (float64 for float64 logits)."""
        loss: Tensor = self.segmentation(output, label)
        if isinstance(output, GuidedOutput):
            loss = loss + self.weight * presence_loss(output.class_logits, label)
        return loss
