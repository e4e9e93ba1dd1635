"""BCDU-Net: skips join by a convolutional LSTM, and the bottleneck is densely connected."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.errors import InvalidValueError
from pipeline.networks.checkpoint import run
from pipeline.networks.conv_lstm import ConvLSTM
from pipeline.networks.double_conv import DoubleConv
from pipeline.networks.layers import BATCH_NORM, Layers, chain
from pipeline.networks.levels import LevelNetwork, check_widths

LEVELS = 4


class Merge(nn.Module):
    """Join an up-sampled tensor and a skip by reading them as a sequence, up first.

    Args:
        layers: Number of axes.
        width: Channels of both.
        bidirectional: Whether a second LSTM reads the skip first.
    """

    def __init__(self, layers: Layers, width: int, *, bidirectional: bool) -> None:
        super().__init__()
        hidden = max(1, width // 2)
        self.width = hidden * (2 if bidirectional else 1)
        self.up_first = ConvLSTM(layers.dims, width, hidden)
        self.skip_first = ConvLSTM(layers.dims, width, hidden) if bidirectional else None

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """Return the last hidden state, or both of them, that of skip first in front."""
        state: Tensor = self.up_first(up, skip)
        if self.skip_first is None:
            return state
        return torch.cat([self.skip_first(skip, up), state], 1)


class BCDUNet(LevelNetwork):
    """U-Net whose skips meet the decoder in convolutional LSTMs.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        widths: Channels of each of the four levels, finest first.
        D: Number of densely connected blocks in the bottleneck.
        bidirectional: Whether the LSTMs read both ways, as the paper says and its code does not.
        dropout: Probability that an element of the bottleneck and the coarsest skip is dropped.
        activation: "relu", "leaky_relu", "elu", "gelu" or "silu".
        deep_supervision: Whether training returns a head for each decoder level.
        checkpoint: Whether blocks are computed again in the backward pass, to save memory.

    Raises:
        InvalidValueError: A number outside its range.
        UnknownNameError: No such activation.

    Source: Azad et al., arXiv 1909.00166, and the authors' code.
    Deviations: the convolution before the head has at least as many channels as classes.
    """

    divisor = 8

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        D: int = 3,  # noqa: N803 - the paper's letter
        bidirectional: bool = False,
        dropout: float = 0.5,
        activation: str = "relu",
        deep_supervision: bool = False,
        checkpoint: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        w0, w1, w2, w3 = widths = check_widths(widths, LEVELS)
        if D < 1:
            raise InvalidValueError(f"D is {D}", hint="use 1 or more blocks, such as 3")
        layers = Layers(spatial_dims, None, activation, dropout).without_dropout()
        self.checkpoint = checkpoint
        inputs = ((in_channels, w0), (w0, w1), (w1, w2))
        self.encoder = nn.ModuleList(DoubleConv(layers, *pair) for pair in inputs)
        self.pool = layers.pool()
        self.dropout = nn.Dropout(dropout)
        self.bottleneck = nn.ModuleList(
            DoubleConv(layers, w3 * block or w2, w3) for block in range(D)
        )
        self.ups = nn.ModuleList(
            chain(
                layers.transposed(coarse, fine), BATCH_NORM[spatial_dims](fine), layers.activate()
            )
            for fine, coarse in pairwise(widths)
        )
        merges = [Merge(layers, width, bidirectional=bidirectional) for width in widths[:-1]]
        self.merges = nn.ModuleList(merges)
        self.decoder = nn.ModuleList(
            DoubleConv(layers, merge.width, width)
            for merge, width in zip(merges, widths[:-1], strict=True)
        )
        last = max(2, out_channels)
        self.head = chain(
            layers.conv(w0, last), layers.activate(), layers.conv(last, out_channels, 1)
        )
        if deep_supervision:
            self.add_heads(widths[1:-1])

    def decode(self, x: Tensor) -> list[Tensor]:
        """Walk down and up; return the decoder's tensors, finest first."""
        skips: list[Tensor] = []
        for block in self.encoder:
            skips.append(run(block, x, checkpointed=self.checkpoint))
            x = self.pool(skips[-1])
        skips[-1] = self.dropout(skips[-1])
        dense: list[Tensor] = []  # newest first
        for block in self.bottleneck:
            x = torch.cat(dense, 1) if dense else x
            dense.insert(0, self.dropout(run(block, x, checkpointed=self.checkpoint)))
        x, levels = dense[0], list[Tensor]()
        for level in reversed(range(len(self.decoder))):
            x = run(
                self.merges[level], self.ups[level](x), skips[level], checkpointed=self.checkpoint
            )
            x = run(self.decoder[level], x, checkpointed=self.checkpoint)
            levels.insert(0, x)
        return levels
