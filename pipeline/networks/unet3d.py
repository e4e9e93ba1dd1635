"""3D U-Net: the number of channels doubles before each pooling, not after."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.networks.crop import centre_crop
from pipeline.networks.double_conv import DoubleConv
from pipeline.networks.encoder_decoder import EncoderDecoder
from pipeline.networks.layers import Layers, Size

LEVELS = 4
BORDER = 88  # voxels that an axis loses without padding, half on each side
SMALLEST = 92  # gives 4


class UNet3D(EncoderDecoder):
    """3D U-Net, unpadded as published: an axis takes 8 m + 4 voxels from 92 on, less 88.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits; unpadded, each axis is 88 shorter than the input's.
        widths: Channels of each of the four levels, finest first.
        padded: Whether convolutions keep the size; then an axis takes multiples of 8.
        norm: "batch", "instance", "group" or None.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel is dropped at the end of a block.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: A number outside its range.
        UnknownNameError: No such norm or activation.

    Source: Cicek et al., arXiv 1606.06650, figure 2.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        padded: bool = False,
        norm: str | None = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        deep_supervision: bool = False,
    ) -> None:
        layers = Layers(spatial_dims, norm, activation, dropout)
        padding = None if padded else 0

        def encoder_block(channels: int, width: int, kernel: Size) -> DoubleConv:
            hidden = max(1, width // 2)
            return DoubleConv(
                layers, channels, width, kernel=kernel, hidden=hidden, padding=padding
            )

        def decoder_block(channels: int, width: int, kernel: Size) -> DoubleConv:
            return DoubleConv(layers, channels, width, kernel=kernel, padding=padding)

        super().__init__(
            layers,
            in_channels,
            out_channels,
            widths,
            levels=(LEVELS, LEVELS),
            block=encoder_block,
            decoder_block=decoder_block,
            up=lambda coarse, _, stride, __: layers.transposed(coarse, coarse, stride, bias=False),
            joined=lambda fine, coarse: fine + coarse,
            deep_supervision=deep_supervision,
        )
        self.padded = self.paddable = padded

    def round_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Round each axis up to 8 m (padded) or to 8 m + 4, at least 92."""
        if self.padded:
            return super().round_size(size)
        return tuple(max(SMALLEST, -(-(n - 4) // 8) * 8 + 4) for n in size)

    def output_size(self, n: int) -> int:
        """Length of the logits along an axis of `n` voxels."""
        return n if self.padded else n - BORDER

    def merge(self, up: Tensor, skip: Tensor, level: int) -> Tensor:
        """Concatenate the skip, cropped, and the up-sampled tensor."""
        return torch.cat([centre_crop(skip, up.shape[2:]), up], 1)
