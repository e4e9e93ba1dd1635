"""The U-Net that nnU-Net plans: strided convolutions, instance norm, leaky ReLU, many heads."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from pipeline.networks.layers import Layers, Size
from pipeline.networks.levels import (
    LevelNetwork,
    Sizes,
    check_kernels,
    check_sizes,
    check_widths,
    divisor_of,
)
from pipeline.networks.nnunet_blocks import plain_stage

WIDTHS: Final = {
    2: (32, 64, 128, 256, 512, 512, 512, 512),
    3: (32, 64, 128, 256, 320, 320),
}
FEWEST_STAGES, MOST_STAGES = 2, 12
CONVOLUTIONS: Final = 2  # in a stage


class NNUNet(LevelNetwork):
    """Plain nnU-Net of any number of stages.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each stage, finest first; None for nnU-Net's, eight in 2D, six in 3D.
        norm: "instance", "batch", "group" or None.
        activation: "leaky_relu", "relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel is dropped after a convolution.
        strides: Stride between stages, a number or one per axis; None for 2 everywhere.
        kernels: Kernel size of each stage, a number or one per axis; None for 3 everywhere.
        deep_supervision: Whether training returns a head for each decoder stage.

    Raises:
        InvalidValueError: A number or size outside its range.
        UnknownNameError: No such norm or activation.

    Source: Isensee et al., Nature Methods 2021, 18, 203; the layers of PlainConvUNet in
    dynamic-network-architectures.
    Deviations: without deep supervision the lower heads do not exist; there they never train.
    """

    decoder_convolutions: ClassVar[int] = CONVOLUTIONS

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] | None = None,
        norm: str | None = "instance",
        activation: str = "leaky_relu",
        dropout: float = 0.0,
        strides: Sizes | None = None,
        kernels: Sizes | None = None,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        given = WIDTHS[spatial_dims] if widths is None else widths
        self.widths = check_widths(given, FEWEST_STAGES, MOST_STAGES)
        layers = Layers(spatial_dims, norm, activation, dropout)
        self.strides = check_sizes("strides", strides, len(self.widths) - 1, spatial_dims, 2)
        self.kernels = check_kernels(kernels, len(self.widths), spatial_dims)
        self.divisor = divisor_of(self.strides)
        self.encoder = self.encode_stages(layers)
        steps = list(zip(pairwise(self.widths), self.strides, self.kernels[:-1], strict=True))
        self.ups = nn.ModuleList(
            layers.transposed(coarse, fine, stride) for (fine, coarse), stride, _ in steps
        )
        self.decoder = nn.ModuleList(
            plain_stage(
                layers, 2 * fine, fine, kernel=kernel, stride=1, blocks=self.decoder_convolutions
            )
            for (fine, _), _, kernel in steps
        )
        self.head = layers.conv(self.widths[0], out_channels, 1)
        if deep_supervision:
            self.add_heads(self.widths[1:-1])

    def encode_stages(self, layers: Layers) -> nn.ModuleList:
        """Build the encoder, a stage per width."""
        steps = pairwise((self.in_channels, *self.widths))
        strides: tuple[Size, ...] = (1, *self.strides)
        return nn.ModuleList(
            plain_stage(layers, before, after, kernel=k, stride=stride, blocks=CONVOLUTIONS)
            for (before, after), stride, k in zip(steps, strides, self.kernels, strict=True)
        )

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        levels: list[Tensor] = []
        for level in reversed(range(len(self.decoder))):
            x = self.decoder[level](torch.cat([self.ups[level](x), skips[level]], 1))
            levels.insert(0, x)
        return levels
