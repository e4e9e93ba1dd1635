"""UNet++: every level has a row of nodes, and each column of the finest row can have a head."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.networks.double_conv import DoubleConv
from pipeline.networks.layers import Layers
from pipeline.networks.nested import WIDTHS, NestedUNet


class UNetPP(NestedUNet):
    """UNet++ of VGG blocks with linear up-sampling (corners aligned), the finer nodes first.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each of the five levels, finest first.
        deep_supervision: Whether there are four heads, which training returns best first.
        mode: What evaluation returns: "fast" one head, "accurate" the mean of the heads'
            probabilities, as logits.
        level: The head of the fast mode, 1 to 4; only the nodes it needs are computed.
        prune: Deepest level and only head that is built, as `prune` does; None for all.
        activation: "softmax" or "sigmoid": whose probabilities the accurate mode averages; one
            class is always a sigmoid's.
        norm: "batch", "instance", "group" or None.
        dropout: Probability that a channel is dropped at the end of a block.
        checkpoint: Whether blocks are computed again in the backward pass, to save memory.

    Raises:
        InvalidValueError: A number outside its range, or a head that is not there.
        UnknownNameError: No such norm, mode or activation.

    Source: articles 003 and 004; Zhou et al., arXiv 1807.10165.
    Deviations: heads come best first (the article has them last), one tensor in evaluation.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = WIDTHS,
        deep_supervision: bool = False,
        mode: str = "fast",
        level: int | None = None,
        prune: int | None = None,
        activation: str = "softmax",
        norm: str | None = "batch",
        dropout: float = 0.0,
        checkpoint: bool = False,
    ) -> None:
        layers = Layers(spatial_dims, norm, dropout=dropout)
        super().__init__(
            layers,
            in_channels,
            out_channels,
            widths,
            block=lambda channels, width: DoubleConv(layers, channels, width),
            up=lambda coarse, fine: layers.linear(align_corners=True),
            joined=lambda column, width, coarser: column * width + coarser,
            deep_supervision=deep_supervision,
            mode=mode,
            level=level,
            prune=prune,
            activation=activation,
            checkpoint=checkpoint,
        )
        self.norm, self.dropout = norm, dropout

    def join(self, row: list[Tensor], up: Tensor) -> Tensor:
        """Concatenate a row's earlier nodes and the up-sampled coarser node."""
        return torch.cat([*row, up], 1)

    def _shallower(self, level: int) -> "UNetPP":
        with torch.device("meta"):
            return UNetPP(
                self.spatial_dims,
                self.in_channels,
                self.out_channels,
                widths=self.widths,
                prune=level,
                activation=self.activation,
                norm=self.norm,
                dropout=self.dropout,
                checkpoint=self.checkpoint,
            )
