"""SegResNet behind our contract: MONAI's class, without the autoencoder branch."""

from monai.networks.nets.segresnet import SegResNet as MonaiSegResNet
from torch import Tensor

from pipeline.errors import InvalidValueError
from pipeline.networks.levels import LevelNetwork

GROUPS = 8  # of MONAI's group norm


class SegResNet(LevelNetwork):
    """Residual encoder-decoder with group norm and additive skips.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        filters: Channels of the finest level, which each coarser one doubles; a multiple of 8.
        dropout: Probability that an element is dropped after the first convolution.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: `filters` is no multiple of 8.

    Source: Myronenko, arXiv 1810.11654; MONAI's `SegResNet`.
    """

    divisor = 8

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        filters: int = 16,
        dropout: float = 0.0,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        if filters < 1 or filters % GROUPS:
            hint = f"use a multiple of {GROUPS}, such as 16"
            raise InvalidValueError(f"filters is {filters}", hint=hint)
        self.body = MonaiSegResNet(
            spatial_dims, filters, in_channels, out_channels, dropout or None
        )
        self.head = self.body.conv_final
        del self.body.conv_final  # one name for each tensor
        if deep_supervision:
            self.add_heads((2 * filters, 4 * filters))

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        x, skips = self.body.encode(x)
        levels: list[Tensor] = []
        stages = zip(self.body.up_samples, self.body.up_layers, reversed(skips[:-1]), strict=True)
        for up, block, skip in stages:
            x = block(up(x) + skip)
            levels.insert(0, x)
        return levels
