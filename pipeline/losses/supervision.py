"""Losses of several heads: what every loss of a network's output shares.

A network with deep supervision returns several logits, the best first and the later ones perhaps
coarser. A loss that subclasses `HeadsLoss` only says what one head costs.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn


class Heads(Protocol):
    """What a network with several outputs may return: logits, best head first."""

    @property
    def heads(self) -> Sequence[Tensor]:
        """Logits `(B, K, *S)`, the best first, the later ones perhaps coarser."""
        ...


Output = Tensor | Sequence[Tensor] | Heads


class HeadsLoss(nn.Module):
    """Logits `(B, K, *S)` of one or several heads and a label to their weighted loss.

    Heads count 1, 1/2, 1/4, ..., normalised to a sum of 1; the label is brought to a coarser
    head's size by its nearest voxels. Everything is computed in float32 (float64 for float64
    logits), under autocast too.

    Source: Isensee et al. 2021 for the factors of the heads.
    """

    def forward(self, output: Output, label: Tensor) -> Tensor:
        """Return the loss of all heads as a scalar in float32 (float64 for float64 logits).

        Raises:
            InvalidValueError: The label does not fit the logits, where the loss can tell.
            RuntimeError: From torch, for a label outside 0 to K - 1 (on a CPU).
        """
        label = label.as_subclass(Tensor)  # the bookkeeping of MONAI's tensors is not needed here
        return mean_of_heads([self._in_full(logits, label) for logits in heads_of(output)])

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head, a scalar; `label` has the size of `logits`."""
        raise NotImplementedError

    def _in_full(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss of one head in full precision, at that head's size."""
        logits = logits.as_subclass(Tensor)
        with torch.autocast(logits.device.type, enabled=False):
            if logits.dtype != torch.float64:
                logits = logits.float()
            return self.head_loss(logits, nearest_label(label, logits.shape[2:]))


def heads_of(output: Output) -> Sequence[Tensor]:
    """Return the logits of every head, best first."""
    if isinstance(output, Tensor):
        return (output,)
    return output if isinstance(output, Sequence) else output.heads


def mean_of_heads(parts: Sequence[Tensor]) -> Tensor:
    """Return the mean of the heads' losses, best first, with weights 1, 1/2, 1/4, ..."""
    total = sum(part * 0.5**n for n, part in enumerate(parts))
    return torch.as_tensor(total) / sum(0.5**n for n in range(len(parts)))


def nearest_label(label: Tensor, size: Sequence[int]) -> Tensor:
    """Resize `(B, C, *S)` of any dtype to `(B, C, *size)`: the voxel nearest to each new centre."""
    for axis, (old, new) in enumerate(zip(label.shape[2:], size, strict=True), start=2):
        if old != new:
            centres = (torch.arange(new, device=label.device) * 2 + 1) * old // (2 * new)
            label = label.index_select(axis, centres)
    return label
