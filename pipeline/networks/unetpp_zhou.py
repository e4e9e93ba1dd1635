"""UNet++ as its authors coded it: no norm, dropout in every node, transposed up-sampling."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.layers import Layers, chain
from pipeline.networks.nested import WIDTHS, NestedUNet


class UNetPPZhou(NestedUNet):
    """UNet++ with the up-sampled tensor first and four heads by default.

    The authors' L2 penalty of 1e-4 on kernels is the optimizer's business.

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
        dropout: Probability that an element is dropped after each convolution.

    Raises:
        InvalidValueError: A number outside its range, or a head that is not there.
        UnknownNameError: No such mode or activation.

    Source: Zhou et al., arXiv 1912.05074, and the authors' Keras code.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = WIDTHS,
        deep_supervision: bool = True,
        mode: str = "fast",
        level: int | None = None,
        prune: int | None = None,
        activation: str = "softmax",
        dropout: float = 0.5,
    ) -> None:
        layers = Layers(spatial_dims, None, dropout=dropout)

        def block(channels: int, width: int) -> nn.Module:
            first = [layers.conv(channels, width), layers.activate(), nn.Dropout(dropout)]
            second = [layers.conv(width, width), layers.activate(), nn.Dropout(dropout)]
            return chain(*first, *second)

        super().__init__(
            layers,
            in_channels,
            out_channels,
            widths,
            block=block,
            up=lambda coarse, fine: layers.transposed(coarse, fine),
            joined=lambda column, width, coarser: (column + 1) * width,
            deep_supervision=deep_supervision,
            mode=mode,
            level=level,
            prune=prune,
            activation=activation,
        )
        self.dropout = dropout

    def join(self, row: list[Tensor], up: Tensor) -> Tensor:
        """Concatenate the up-sampled coarser node and a row's earlier nodes."""
        return torch.cat([up, *row], 1)

    def _shallower(self, level: int) -> "UNetPPZhou":
        with torch.device("meta"):
            return UNetPPZhou(
                self.spatial_dims,
                self.in_channels,
                self.out_channels,
                widths=self.widths,
                prune=level,
                activation=self.activation,
                dropout=self.dropout,
            )
