"""Swin UNETR behind our contract: MONAI's class."""

from monai.networks.nets.swin_unetr import SwinUNETR as MonaiSwinUNETR
from torch import Tensor

from pipeline.errors import InvalidValueError
from pipeline.networks.levels import LevelNetwork


class SwinUNETR(LevelNetwork):
    """Shifted-window transformer with a convolutional decoder; trains from 64 voxels an axis on.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        feature_size: Channels of the finest level, a multiple of 12.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: `feature_size` is no multiple of 12.

    Source: Hatamizadeh et al., arXiv 2201.01266; MONAI's `SwinUNETR`.
    """

    divisor = 32

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        feature_size: int = 24,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        if feature_size < 1 or feature_size % 12:
            hint = "use a multiple of 12, such as 24"
            raise InvalidValueError(f"feature_size is {feature_size}", hint=hint)
        self.body = MonaiSwinUNETR(
            in_channels, out_channels, feature_size=feature_size, spatial_dims=spatial_dims
        )
        self.head = self.body.out
        del self.body.out  # one name for each tensor
        if deep_supervision:
            self.add_heads([factor * feature_size for factor in (1, 2, 4, 8)])

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        body = self.body
        hidden = body.swinViT(x, body.normalize)
        eighth = body.decoder5(body.encoder10(hidden[4]), hidden[3])
        quarter = body.decoder4(eighth, body.encoder4(hidden[2]))
        half = body.decoder3(quarter, body.encoder3(hidden[1]))
        fine = body.decoder2(half, body.encoder2(hidden[0]))
        return [body.decoder1(fine, body.encoder1(x)), fine, half, quarter, eighth]
