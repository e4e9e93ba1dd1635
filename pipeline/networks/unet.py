"""U-Net with batch norm, as most tutorials build it: no bias before a norm, transposed up."""

from collections.abc import Sequence

from torch import Tensor

from pipeline.errors import UnknownNameError
from pipeline.networks.double_conv import double_conv
from pipeline.networks.encoder_decoder import WIDTHS, EncoderDecoder, twice
from pipeline.networks.layers import Layers
from pipeline.networks.levels import Sizes


class UNet(EncoderDecoder):
    """U-Net with normalised double convolutions and transposed up-convolutions.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each level, finest first; 3 to 6 of them.
        norm: "batch", "instance", "group" or None (then the convolutions have a bias).
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        dropout: Probability that a channel is dropped at the end of a block.
        skip: "cat" to concatenate skip and up-sampled tensor, "add" to add them.
        strides: Pooling factor between levels, a number or one per axis; None for 2 everywhere.
        kernels: Kernel size of each level, a number or one per axis; None for 3 everywhere.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: A number or size outside its range.
        UnknownNameError: No such norm, activation or skip.

    Source: article 001; Ronneberger et al., arXiv 1505.04597; Cicek et al., arXiv 1606.06650.
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
        skip: str = "cat",
        strides: Sizes | None = None,
        kernels: Sizes | None = None,
        deep_supervision: bool = False,
    ) -> None:
        if skip not in ("cat", "add"):
            raise UnknownNameError(f"there is no skip {skip!r}", hint="use cat or add")
        layers = Layers(spatial_dims, norm, activation, dropout)
        super().__init__(
            layers,
            in_channels,
            out_channels,
            widths,
            block=double_conv(layers, bias=norm is None),
            up=lambda coarse, fine, stride, _: layers.transposed(coarse, fine, stride),
            joined=twice if skip == "cat" else lambda fine, _: fine,
            strides=strides,
            kernels=kernels,
            deep_supervision=deep_supervision,
        )
        self.skip = skip

    def merge(self, up: Tensor, skip: Tensor, level: int) -> Tensor:
        """Concatenate skip and up-sampled tensor, or add them."""
        return skip + up if self.skip == "add" else super().merge(up, skip, level)
