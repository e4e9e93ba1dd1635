"""The first U-Net as published: no padding, so that 572 pixels give 388."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.crop import centre_crop
from pipeline.networks.double_conv import double_conv
from pipeline.networks.encoder_decoder import WIDTHS, EncoderDecoder
from pipeline.networks.layers import Layers, chain

LEVELS = 5
BORDER = 184  # voxels that an axis loses, half on each side
SMALLEST = 188  # gives 4
DROPPED_LEVELS = (3, 4)  # the end of the contracting path


class UNetValid(EncoderDecoder):
    """U-Net of unpadded convolutions: an axis takes 16 m + 12 voxels from 188 on, less 184.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits, each axis 184 shorter than the input's.
        widths: Channels of each of the five levels, finest first.
        norm: "batch", "instance", "group" or None.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that an element is dropped at the end of the contracting path.

    Raises:
        InvalidValueError: A number outside its range.
        UnknownNameError: No such norm or activation.

    Source: Ronneberger et al., arXiv 1505.04597, figure 1.
    """

    paddable = False  # mirrored borders are the business of prediction by overlapping tiles

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
    ) -> None:
        probability, layers = dropout, Layers(spatial_dims, norm, activation, dropout)
        layers = layers.without_dropout()
        super().__init__(
            layers,
            in_channels,
            out_channels,
            widths,
            levels=(LEVELS, LEVELS),
            block=double_conv(layers, padding=0),
            up=lambda coarse, fine, stride, _: layers.transposed(coarse, fine, stride),
        )
        if probability:
            for level in DROPPED_LEVELS:
                self.encoder[level] = chain(self.encoder[level], nn.Dropout(probability))

    def round_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Round each axis up to 16 m + 12, at least 188."""
        return tuple(max(SMALLEST, -(-(n - 12) // 16) * 16 + 12) for n in size)

    def output_size(self, n: int) -> int:
        """Length of the logits along an axis of `n` voxels."""
        return n - BORDER

    def merge(self, up: Tensor, skip: Tensor, level: int) -> Tensor:
        """Concatenate the skip, cropped, and the up-sampled tensor."""
        return torch.cat([centre_crop(skip, up.shape[2:]), up], 1)
