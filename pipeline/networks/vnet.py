"""V-Net: MONAI's transitions, with a stem for any number of channels and dropout mended in 2D."""

from typing import Any, Final

import torch
from monai.networks.nets.vnet import DownTransition, OutputTransition, UpTransition
from torch import Tensor, nn

from pipeline.errors import InvalidValueError
from pipeline.networks.layers import BATCH_NORM, CONV
from pipeline.networks.levels import LevelNetwork

ACTIVATION: Final[Any] = ("elu", {"inplace": True})
WIDTH: Final = 16
DROPOUT: Final = 0.5


class Stem(nn.Module):
    """Convolution and norm plus the input itself, repeated to `width` channels; then ELU."""

    def __init__(self, spatial_dims: int, channels: int, width: int) -> None:
        super().__init__()
        self.conv = CONV[spatial_dims](channels, width, 5, padding=2, bias=False)
        self.norm = BATCH_NORM[spatial_dims](width)
        self.activation = nn.ELU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, channels, *S)` to `(B, width, *S)`."""
        branch = self.norm(self.conv(x))
        width, channels = branch.shape[1], x.shape[1]
        repeated = torch.cat([x] * -(-width // channels), 1)[:, :width]
        result: Tensor = self.activation(branch + repeated)
        return result


class VNet(LevelNetwork):
    """V-Net with residual stages of 5-voxel convolutions.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        width: Channels of the finest level, which each coarser one doubles; even.
        deep_supervision: Whether training returns a head for each decoder level.

    Raises:
        InvalidValueError: An odd `width`.

    Source: Milletari et al., arXiv 1606.04797; MONAI's `VNet` with its defaults.
    Deviations: MONAI's class wants C to divide 16, and its 2D network drops whole samples
        (Dropout3d on four axes); here any C works, and 2D drops channels.
    """

    divisor = 16

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        width: int = WIDTH,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        if width < 2 or width % 2:
            raise InvalidValueError(f"width is {width}", hint="use an even number, such as 16")
        w, both = width, (DROPOUT, DROPOUT)

        def down(channels: int, convolutions: int, dropout: float | None = None) -> nn.Module:
            return DownTransition(
                spatial_dims, channels, convolutions, ACTIVATION, dropout, spatial_dims
            )

        def up(
            channels: int, result: int, convolutions: int, dropout: Any = (None, DROPOUT)
        ) -> nn.Module:
            return UpTransition(
                spatial_dims, channels, result, convolutions, ACTIVATION, dropout, spatial_dims
            )

        self.stem = Stem(spatial_dims, in_channels, w)
        self.downs = nn.ModuleList(
            [down(w, 1), down(2 * w, 2), down(4 * w, 3, DROPOUT), down(8 * w, 2, DROPOUT)]
        )
        self.ups = nn.ModuleList(  # finest first
            [
                up(4 * w, 2 * w, 1),
                up(8 * w, 4 * w, 1),
                up(16 * w, 8 * w, 2, both),
                up(16 * w, 16 * w, 2, both),
            ]
        )
        self.head = OutputTransition(spatial_dims, 2 * w, out_channels, ACTIVATION)
        if deep_supervision:
            self.add_heads((4 * w, 8 * w, 16 * w))

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        skips = [self.stem(x)]
        for down in self.downs:
            skips.append(down(skips[-1]))
        x, levels = skips[-1], list[Tensor]()
        for level in reversed(range(len(self.ups))):
            x = self.ups[level](x, skips[level])
            levels.insert(0, x)
        return levels
