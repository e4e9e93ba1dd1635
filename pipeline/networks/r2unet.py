"""R2U-Net: recurrent residual blocks in the U."""

from collections.abc import Sequence

from torch import nn

from pipeline.errors import InvalidValueError
from pipeline.networks.encoder_decoder import WIDTHS, EncoderDecoder
from pipeline.networks.layers import Layers, Size, up_conv
from pipeline.networks.levels import Sizes
from pipeline.networks.recurrent import RecurrentBlock


class R2UNet(EncoderDecoder):
    """U-Net of recurrent residual blocks, with nearest-neighbour up-sampling.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each level, finest first; 3 to 6 of them.
        t: Repetitions in a recurrent unit after its first application; no parameters.
        norm: "batch", "instance", "group" or None.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel is dropped at the end of a block.
        strides: Pooling factor between levels, a number or one per axis; None for 2 everywhere.
        kernels: Kernel size of each level, a number or one per axis; None for 3 everywhere.
        deep_supervision: Whether training returns a head for each decoder level.
        checkpoint: Whether blocks are computed again in the backward pass, to save memory.

    Raises:
        InvalidValueError: A number or size outside its range.
        UnknownNameError: No such norm or activation.

    Source: article 004; Alom et al., arXiv 1802.06955.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = WIDTHS,
        t: int = 2,
        norm: str | None = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        strides: Sizes | None = None,
        kernels: Sizes | None = None,
        deep_supervision: bool = False,
        checkpoint: bool = False,
    ) -> None:
        if t < 0:
            raise InvalidValueError(f"t is {t}", hint="use 0 or more repetitions, such as 2")
        layers = Layers(spatial_dims, norm, activation, dropout)

        def block(channels: int, width: int, kernel: Size) -> nn.Module:
            return RecurrentBlock(layers, channels, width, kernel, t)

        super().__init__(
            layers,
            in_channels,
            out_channels,
            widths,
            block=block,
            up=up_conv(layers),
            strides=strides,
            kernels=kernels,
            deep_supervision=deep_supervision,
            checkpoint=checkpoint,
        )
        self.add_gates(layers)

    def add_gates(self, layers: Layers) -> None:
        """Gate the skips; not here."""
