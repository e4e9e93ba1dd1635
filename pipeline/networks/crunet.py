"""CR-U-Net: the skips of two levels pass a spatial recurrent network."""

from collections.abc import Sequence

from torch import Tensor, nn

from pipeline.networks.double_conv import double_conv
from pipeline.networks.encoder_decoder import WIDTHS, EncoderDecoder
from pipeline.networks.layers import Layers
from pipeline.networks.levels import Sizes
from pipeline.networks.resize import resize
from pipeline.networks.spatial_rnn import SpatialRNN

SWEPT_LEVELS = (1, 2)


class CRUNet(EncoderDecoder):
    """U-Net with spatial recurrent networks in the skips of levels 1 and 2, and full-size heads.

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
        deep_supervision: Whether training returns a full-size head for each decoder level.

    Raises:
        InvalidValueError: A number or size outside its range.
        UnknownNameError: No such norm or activation.

    Source: article 004, in text.
    Deviations: the published drawing is not at hand; the tests' counts fix this reading of it.
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
        deep_supervision: bool = True,
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
        self.sweeps = nn.ModuleDict(
            {
                str(level): SpatialRNN(layers, width)
                for level, width in enumerate(self.widths[:-1])
                if level in SWEPT_LEVELS
            }
        )

    def merge(self, up: Tensor, skip: Tensor, level: int) -> Tensor:
        """Concatenate the skip, swept on levels 1 and 2, and the up-sampled tensor."""
        if level in SWEPT_LEVELS:
            skip = self.sweeps[str(level)](skip)
        return super().merge(up, skip, level)

    def supervise(self, levels: list[Tensor], size: Sequence[int]) -> list[Tensor]:
        """Return the coarser heads' logits, resized to the input's size."""
        return [resize(logits, size) for logits in super().supervise(levels, size)]
