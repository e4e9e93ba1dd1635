"""BiO-Net: the decoder's tensors feed the encoder of the next iteration."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.errors import InvalidValueError
from pipeline.networks.layers import TRANSPOSED, Layers
from pipeline.networks.levels import LevelNetwork, check_widths
from pipeline.networks.shared_unit import SharedUnit

LEVELS = 5


class BiONet(LevelNetwork):
    """A U that is walked t times with the same convolutions, with forward and backward skips.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each of the five levels, finest first.
        t: Number of iterations.
        integrate: Whether the results of all iterations are joined, or only the last is used.
        norm: "batch", "instance", "group" or None.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        deep_supervision: Whether training returns a head for each decoder level, too.

    Raises:
        InvalidValueError: A number outside its range.
        UnknownNameError: No such norm or activation.

    Source: Xiang et al., arXiv 2007.00243, and the authors' torch code.
    Deviations: any number of channels and classes; batch norm's momentum is 0.1.
    """

    divisor = 32

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = (32, 64, 128, 256, 512),
        t: int = 3,
        integrate: bool = True,
        norm: str | None = "batch",
        activation: str = "relu",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        widths = check_widths(widths, LEVELS)
        if t < 1:
            raise InvalidValueError(f"t is {t}", hint="use 1 or more iterations, such as 3")
        layers = Layers(spatial_dims, norm, activation)
        first, last = widths[0], widths[-1]
        self.t, self.integrate = t, integrate

        def unit(channels: int, width: int, sets: int) -> SharedUnit:
            return SharedUnit(layers, layers.conv(channels, width), width, sets)

        def up(width: int, sets: int) -> SharedUnit:
            conv = TRANSPOSED[spatial_dims](width, width, 3, stride=2, padding=1, output_padding=1)
            return SharedUnit(layers, conv, width, sets)

        self.stem = nn.ModuleList(unit(c, first, 1) for c in (in_channels, first, first))
        self.pool = layers.pool()
        steps = list(pairwise(widths))
        self.encoder_merge = nn.ModuleList(unit(2 * fine, fine, t) for fine, _ in steps)
        self.encoder_refine = nn.ModuleList(unit(fine, fine, t) for fine, _ in steps)
        self.encoder_widen = nn.ModuleList(unit(fine, coarse, t) for fine, coarse in steps)
        self.middle = nn.ModuleList([unit(last, last, 1), unit(last, last, 1), up(last, 1)])
        self.decoder_merge = nn.ModuleList(unit(c + fine, fine, t) for fine, c in steps)
        self.decoder_refine = nn.ModuleList(unit(fine, fine, t) for fine, _ in steps)
        ups = [up(fine, t) for fine, _ in steps]
        self.decoder_up = nn.ModuleList(ups)
        joined = first * (t if integrate else 1)
        self.join = nn.ModuleList([unit(joined, first, 1), unit(first, first, 1)])
        self.head = layers.conv(first, out_channels, 1)
        if not integrate:  # all but the last iteration's last up-sampling are never used
            ups[0].freeze(range(t - 1))
        if deep_supervision:
            self.add_heads(widths[:-1])

    def decode(self, x: Tensor) -> list[Tensor]:
        """Iterate; return the joined result and the last iteration's decoder, finest first."""
        for stem in self.stem:
            x = stem(x, 0)
        start = self.pool(x)
        backward: list[Tensor] = []
        results: list[Tensor] = []
        for i in range(self.t):
            x, backward = self._iterate(start, backward, i)
            results.append(x)
        x = torch.cat(results, 1) if self.integrate else results[-1]
        for unit in self.join:
            x = unit(x, 0)
        return [x, *backward]

    def _iterate(self, x: Tensor, backward: list[Tensor], i: int) -> tuple[Tensor, list[Tensor]]:
        """Walk down and up once; return the full-size result and the backward skips."""
        forward: list[Tensor] = []
        for level, merge in enumerate(self.encoder_merge):
            x = merge(torch.cat([x, backward[level] if backward else x], 1), i)
            forward.append(self.encoder_refine[level](x, i))
            x = self.pool(self.encoder_widen[level](forward[-1], i))
        for unit in self.middle:
            x = unit(x, 0)
        skips: list[Tensor] = []
        for level in reversed(range(len(forward))):
            x = self.decoder_merge[level](torch.cat([x, forward[level]], 1), i)
            skips.insert(0, self.decoder_refine[level](x, i))
            if level or self.integrate or i == self.t - 1:
                x = self.decoder_up[level](skips[0], i)
        return x, skips
