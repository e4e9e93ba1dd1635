"""nnU-Net with a residual encoder and a light decoder."""

from itertools import pairwise
from typing import ClassVar, Final

from torch import nn

from pipeline.networks.layers import Layers, Size
from pipeline.networks.nnunet import NNUNet
from pipeline.networks.nnunet_blocks import plain_stage, residual_stage

FIRST_BLOCKS: Final = (1, 3, 4)  # in the finest stages
FURTHER_BLOCKS: Final = 6


class NNUNetResEnc(NNUNet):
    """Residual-encoder nnU-Net of any number of stages; takes the options of `NNUNet`.

    Source: Isensee et al., arXiv 2404.09556; the layers of ResidualEncoderUNet in
    dynamic-network-architectures.
    """

    decoder_convolutions: ClassVar[int] = 1

    def encode_stages(self, layers: Layers) -> nn.ModuleList:
        """Build the encoder; the first stage begins with a plain convolution."""
        widths, kernels = self.widths, self.kernels
        further = len(widths) - len(FIRST_BLOCKS)
        blocks = (*FIRST_BLOCKS, *[FURTHER_BLOCKS] * further)[: len(widths)]
        stem = plain_stage(
            layers, self.in_channels, widths[0], kernel=kernels[0], stride=1, blocks=1
        )
        strides: tuple[Size, ...] = (1, *self.strides)
        steps = zip(pairwise((widths[0], *widths)), strides, kernels, blocks, strict=True)
        stages = [
            residual_stage(layers, before, after, kernel=kernel, stride=stride, blocks=number)
            for (before, after), stride, kernel, number in steps
        ]
        return nn.ModuleList([nn.Sequential(stem, stages[0]), *stages[1:]])
