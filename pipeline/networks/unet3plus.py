"""UNet 3+: each decoder level sees all encoder levels and all coarser decoder levels."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from pipeline.contract import GuidedOutput, Network
from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.networks.checkpoint import run
from pipeline.networks.double_conv import DoubleConv
from pipeline.networks.encoder_decoder import WIDTHS
from pipeline.networks.full_scale import FullScale
from pipeline.networks.layers import Layers, chain
from pipeline.networks.levels import check_widths
from pipeline.networks.resize import resize

LEVELS: Final = 5
SILENCED: Final = -100.0  # a logit whose probability is zero


class UNet3Plus(Network):
    """U-Net with full-scale skips; with deep supervision and a classification-guided module.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each of the five levels, finest first; the finest is a branch's too.
        deep_supervision: Whether training returns five full-size heads, finest first.
        cgm: Whether a classifier on the bottleneck says if there is any foreground; training then
            returns a `GuidedOutput`, and evaluation is silenced where the classifier says no.
        activation: "softmax" or "sigmoid": how silence looks with several classes, the first
            class as background or none at all.
        norm: "batch", "instance", "group" or None.
        dropout: Probability that a channel is dropped at the end of an encoder block.
        checkpoint: Whether blocks are computed again in the backward pass, to save memory.

    Raises:
        InvalidValueError: Other than five widths, or `cgm` without `deep_supervision`.
        UnknownNameError: No such norm or activation.

    Source: Huang et al., arXiv 2004.08790, and the authors' code.
    Deviations: logits throughout; the gate sets them to silence, where the authors multiply them
        by zero (a probability of one half), and does so in evaluation only.
    """

    divisor = 16

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = WIDTHS,
        deep_supervision: bool = False,
        cgm: bool = False,
        activation: str = "softmax",
        norm: str | None = "batch",
        dropout: float = 0.0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        widths = check_widths(widths, LEVELS)
        if activation not in ("softmax", "sigmoid"):
            hint = "use softmax or sigmoid"
            raise UnknownNameError(f"there is no activation {activation!r}", hint=hint)
        if cgm and not deep_supervision:
            raise InvalidValueError("cgm is set without heads", hint="set deep_supervision, too")
        self.activation, self.checkpoint = activation, checkpoint
        layers = Layers(spatial_dims, norm, dropout=dropout)
        self.encoder = nn.ModuleList(
            DoubleConv(layers, before, after) for before, after in pairwise((in_channels, *widths))
        )
        self.pool = layers.pool()
        joined = LEVELS * widths[0]
        self.decoder = nn.ModuleList(
            FullScale(layers, level, widths, joined) for level in range(LEVELS - 1)
        )
        self.head = layers.conv(joined, out_channels)
        coarser = [joined] * (LEVELS - 2) + [widths[-1]]
        self.deep_heads = nn.ModuleList(
            layers.conv(width, out_channels) for width in (coarser if deep_supervision else ())
        )
        self.heads = 1 + len(self.deep_heads)
        self.classifier = chain(nn.Dropout(0.5), layers.conv(widths[-1], 2, 1)) if cgm else None

    def forward(self, x: Tensor) -> Tensor | list[Tensor] | GuidedOutput:
        """Map `(B, C, *S)` to logits `(B, K, *S)`; in training to heads, perhaps guided."""
        self.check_input(x)
        size = x.shape[2:]
        encoded: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = run(block, self.pool(x) if level else x, checkpointed=self.checkpoint)
            encoded.append(x)
        decoded = encoded[-1:]  # finest first; begins with the bottleneck
        for level in reversed(range(len(self.decoder))):
            sources = (*encoded[: level + 1], *decoded)
            decoded.insert(0, run(self.decoder[level], *sources, checkpointed=self.checkpoint))
        logits: Tensor = self.head(decoded[0])
        if not self.training:
            return self._guide(logits, encoded[-1])
        if not self.deep_heads:
            return logits
        coarser = zip(self.deep_heads, decoded[1:], strict=True)
        heads = [logits, *(resize(head(level), size) for head, level in coarser)]
        return heads if self.classifier is None else GuidedOutput(heads, self._judge(encoded[-1]))

    def _judge(self, bottleneck: Tensor) -> Tensor:
        """Return class logits `(B, 2)`: absent, present."""
        assert self.classifier is not None
        logits: Tensor = self.classifier(bottleneck).flatten(2).amax(2)
        return logits

    def _guide(self, logits: Tensor, bottleneck: Tensor) -> Tensor:
        """Silence the cases in which the classifier sees no foreground."""
        if self.classifier is None:
            return logits
        present = self._judge(bottleneck).argmax(1).reshape(-1, *[1] * (logits.ndim - 1)).bool()
        silence = torch.full_like(logits, SILENCED)
        if self.out_channels > 1 and self.activation == "softmax":
            silence[:, 0] = 0
        return torch.where(present, logits, silence)
