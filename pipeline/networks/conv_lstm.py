"""A convolutional LSTM over a sequence of two tensors."""

import torch
from torch import Tensor, nn

from pipeline.networks.layers import CONV


def hard_sigmoid(z: Tensor) -> Tensor:
    """Keras's piecewise linear sigmoid; torch's own has another slope."""
    return (0.2 * z + 0.5).clamp(0, 1)


class ConvLSTM(nn.Module):
    """Read two tensors `(B, channels, *S)`, return the last hidden state `(B, hidden, *S)`.

    Args:
        spatial_dims: Number of spatial axes.
        channels: Channels of each tensor of the sequence.
        hidden: Channels of the state.

    Source: Shi et al., arXiv 1506.04214, without peepholes, as Keras has it.
    """

    own_initialisation = True

    def __init__(self, spatial_dims: int, channels: int, hidden: int) -> None:
        super().__init__()
        conv = CONV[spatial_dims]
        self.input = conv(channels, 4 * hidden, 3, padding=1)
        self.recurrent = conv(hidden, 4 * hidden, 3, padding=1, bias=False)
        with torch.no_grad():
            bias = self.input.get_parameter("bias")
            nn.init.ones_(bias[hidden : 2 * hidden])  # remember at first

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Run both steps; their input convolutions are one call, and the first has no past."""
        both = self.input(torch.cat([first, second], 0))
        before, after = both.chunk(2, 0)
        entry, _, candidate, output = before.chunk(4, 1)
        cell = hard_sigmoid(entry) * candidate.tanh()
        hidden = hard_sigmoid(output) * cell.tanh()
        entry, forget, candidate, output = (after + self.recurrent(hidden)).chunk(4, 1)
        cell = hard_sigmoid(forget) * cell + hard_sigmoid(entry) * candidate.tanh()
        last: Tensor = hard_sigmoid(output) * cell.tanh()
        return last
