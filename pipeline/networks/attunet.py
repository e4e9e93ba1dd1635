"""Attention U-Net: each skip passes a gate that the coarser level steers."""

from collections.abc import Sequence

from torch import Tensor

from pipeline.networks.attention_gate import gates
from pipeline.networks.double_conv import double_conv
from pipeline.networks.encoder_decoder import WIDTHS, EncoderDecoder
from pipeline.networks.layers import Layers, up_conv
from pipeline.networks.levels import Sizes


class AttUNet(EncoderDecoder):
    """U-Net with same-resolution attention gates on all skips, and nearest-neighbour up-sampling.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each level, finest first; 3 to 6 of them.
        norm: "batch", "instance", "group" or None, in blocks and gates.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel is dropped at the end of a block.
        strides: Pooling factor between levels, a number or one per axis; None for 2 everywhere.
        kernels: Kernel size of each level, a number or one per axis; None for 3 everywhere.
        deep_supervision: Whether training returns a head for each decoder level.
        checkpoint: Whether blocks are computed again in the backward pass, to save memory.

    Raises:
        InvalidValueError: A number or size outside its range.
        UnknownNameError: No such norm or activation.

    Source: article 004; Oktay et al., arXiv 1804.03999.
    Deviations: as in the article, the gate works at the skip's resolution, after up-sampling.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = WIDTHS,
        norm: str | None = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        strides: Sizes | None = None,
        kernels: Sizes | None = None,
        deep_supervision: bool = False,
        checkpoint: bool = False,
    ) -> None:
        layers = Layers(spatial_dims, norm, activation, dropout)
        super().__init__(
            layers,
            in_channels,
            out_channels,
            widths,
            block=double_conv(layers),
            up=up_conv(layers),
            strides=strides,
            kernels=kernels,
            deep_supervision=deep_supervision,
            checkpoint=checkpoint,
        )
        self.gates = gates(layers, self.widths[:-1])

    def merge(self, up: Tensor, skip: Tensor, level: int) -> Tensor:
        """Concatenate the gated skip and the up-sampled tensor."""
        return super().merge(up, self.gates[level](up, skip), level)
