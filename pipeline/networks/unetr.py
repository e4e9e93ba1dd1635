"""UNETR behind our contract: MONAI's class, its dead tensors frozen."""

from collections.abc import Callable, Sequence

from monai.networks.nets.unetr import UNETR as MonaiUNETR  # noqa: N811
from torch import Tensor

from pipeline.errors import InvalidValueError
from pipeline.networks.levels import LevelNetwork

PATCH = 16


class UNETR(LevelNetwork):
    """Vision transformer with a convolutional decoder; one input size, that of its positions.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        img_size: S, a number or one per axis, multiples of 16.
        feature_size: Channels of the finest level.
        hidden_size: Length of a token, a multiple of `num_heads`.
        mlp_dim: Hidden units of a transformer block.
        num_heads: Attention heads.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: A size or number outside its range.

    Source: Hatamizadeh et al., arXiv 2103.10504; MONAI's `UNETR`.
    Deviations: the norms of a cross-attention that is never used (24 tensors) are frozen.
    """

    divisor = PATCH
    paddable = False

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        img_size: int | Sequence[int] = 96,
        feature_size: int = 16,
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        num_heads: int = 12,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        axes = (img_size,) * spatial_dims if isinstance(img_size, int) else tuple(img_size)
        self.img_size = axes
        if len(axes) != spatial_dims or any(n < 1 or n % PATCH for n in axes):
            raise InvalidValueError(
                f"img_size is {img_size}",
                hint=f"give a multiple of {PATCH}, or {spatial_dims} of them",
            )
        if hidden_size % num_heads:
            raise InvalidValueError(
                f"hidden_size {hidden_size} is no multiple of num_heads {num_heads}",
                hint="change one of them",
            )
        self.body = MonaiUNETR(
            in_channels,
            out_channels,
            self.img_size,
            feature_size=feature_size,
            hidden_size=hidden_size,
            mlp_dim=mlp_dim,
            num_heads=num_heads,
            spatial_dims=spatial_dims,
        )
        self.head = self.body.out
        del self.body.out  # one name for each tensor
        for name, parameter in self.body.named_parameters():
            if "norm_cross_attn" in name:
                parameter.requires_grad_(False)
        if deep_supervision:
            self.add_heads([factor * feature_size for factor in (2, 4, 8)])

    def round_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the one size that this network takes."""
        return self.img_size

    def bottleneck_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Size of the coarsest tensor with instance norm; tokens have layer norm."""
        return tuple(n // (PATCH // 2) for n in size)

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        body = self.body
        grid: Callable[[Tensor], Tensor] = body.proj_feat
        tokens, hidden = body.vit(x)
        eighth = body.decoder5(grid(tokens), body.encoder4(grid(hidden[9])))
        quarter = body.decoder4(eighth, body.encoder3(grid(hidden[6])))
        half = body.decoder3(quarter, body.encoder2(grid(hidden[3])))
        return [body.decoder2(half, body.encoder1(x)), half, quarter, eighth]
