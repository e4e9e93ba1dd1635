"""The first U-Net as the annotated implementation builds it: no norm, up-sampled tensor first."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.networks.crop import centre_crop
from pipeline.networks.double_conv import double_conv
from pipeline.networks.encoder_decoder import WIDTHS, EncoderDecoder
from pipeline.networks.layers import Layers
from pipeline.networks.levels import Sizes


class UNetPlain(EncoderDecoder):
    """U-Net of padded convolutions without a norm, with transposed up-convolutions.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each level, finest first; 3 to 6 of them.
        norm: "batch", "instance", "group" or None.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel is dropped at the end of a block.
        strides: Pooling factor between levels, a number or one per axis; None for 2 everywhere.
        kernels: Kernel size of each level, a number or one per axis; None for 3 everywhere.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: A number or size outside its range.
        UnknownNameError: No such norm or activation.

    Source: article 000; Ronneberger et al., arXiv 1505.04597.
    Deviations: a size that the network can't divide is refused; the article returns less.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = WIDTHS,
        norm: str | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        strides: Sizes | None = None,
        kernels: Sizes | None = None,
        deep_supervision: bool = False,
    ) -> None:
        layers = Layers(spatial_dims, norm, activation, dropout)
        super().__init__(
            layers,
            in_channels,
            out_channels,
            widths,
            block=double_conv(layers),
            up=lambda coarse, fine, stride, _: layers.transposed(coarse, fine, stride),
            strides=strides,
            kernels=kernels,
            deep_supervision=deep_supervision,
        )

    def merge(self, up: Tensor, skip: Tensor, level: int) -> Tensor:
        """Concatenate the up-sampled tensor and the skip, cropped to it."""
        return torch.cat([up, centre_crop(skip, up.shape[2:])], 1)
