"""DynUNet behind our contract: MONAI's nnU-Net, its deep supervision replaced by ours."""

from collections.abc import Sequence
from typing import Final

from monai.networks.nets.dynunet import DynUNet as MonaiDynUNet
from torch import Tensor

from pipeline.networks.levels import (
    LevelNetwork,
    Sizes,
    check_kernels,
    check_sizes,
    check_widths,
    divisor_of,
)

LEVELS: Final = 6
WIDEST: Final = {2: 512, 3: 320}
FEWEST_LEVELS, MOST_LEVELS = 3, 12


class DynUNet(LevelNetwork):
    """U-Net of strided convolutions, instance norm and leaky ReLU, of any number of levels.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each level, finest first; None for six levels with MONAI's.
        strides: Stride between levels, a number or one per axis; None for 2 everywhere.
        kernels: Kernel size of each level, a number or one per axis; None for 3 everywhere.
        dropout: Probability that an element is dropped; 0 for none.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: A number or size outside its range.

    Source: Isensee et al., Nature Methods 2021, 18, 203; MONAI's `DynUNet`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] | None = None,
        strides: Sizes | None = None,
        kernels: Sizes | None = None,
        dropout: float = 0.0,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        given = widths or [min(32 * 2**i, WIDEST[spatial_dims]) for i in range(LEVELS)]
        widths = check_widths(given, FEWEST_LEVELS, MOST_LEVELS)
        steps = check_sizes("strides", strides, len(widths) - 1, spatial_dims, 2)
        sizes = check_kernels(kernels, len(widths), spatial_dims)
        self.divisor = divisor_of(steps)
        body = MonaiDynUNet(
            spatial_dims,
            in_channels,
            out_channels,
            sizes,
            ((1,) * spatial_dims, *steps),
            steps,
            filters=widths,
            dropout=dropout or None,
        )
        self.input_block = body.input_block
        self.downsamples = body.downsamples
        self.bottleneck = body.bottleneck
        self.upsamples = body.upsamples
        self.head = body.output_block
        if deep_supervision:
            self.add_heads(widths[1:-1])

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        skips = [self.input_block(x)]
        for block in self.downsamples:
            skips.append(block(skips[-1]))
        x, levels = self.bottleneck(skips[-1]), list[Tensor]()
        for up, skip in zip(self.upsamples, reversed(skips), strict=True):
            x = up(x, skip)
            levels.insert(0, x)
        return levels
