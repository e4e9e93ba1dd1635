"""A recurrent layer that sweeps over a tensor in both directions of each axis."""

import torch
from torch import Tensor, nn

from pipeline.networks.layers import Layers, chain


class SpatialRNN(nn.Module):
    """Let every voxel see its lines: `(B, C, *S)` to the same shape.

    One bidirectional ReLU network per axis, the other axes folded into the batch, so that all
    lines run at once; the directions' results are summed, then convolution, norm, activation.

    Args:
        layers: Number of axes, norm and activation.
        width: Channels C.

    Source: the drawing of CR-Unet as article 004 describes it; Le et al., arXiv 1504.00941 for the
    identity as the first recurrent matrix.
    """

    own_initialisation = True

    def __init__(self, layers: Layers, width: int) -> None:
        super().__init__()
        self.width = width
        self.axes = nn.ModuleList(
            nn.RNN(width, width, nonlinearity="relu", bidirectional=True, batch_first=True)
            for _ in range(layers.dims)
        )
        self.mix = chain(layers.conv(width, width, 1), layers.normalise(width), layers.activate())
        self._begin_with_identity()

    @torch.no_grad()
    def _begin_with_identity(self) -> None:
        """Set recurrent matrices to the identity and their biases to zero."""
        for rnn in self.axes:
            for name, parameter in rnn.named_parameters():
                if name.startswith("weight_hh"):
                    nn.init.eye_(parameter)
                elif name.startswith("bias"):
                    nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Sweep along each axis; the sums grow with the lines, so they are never half precision."""
        if not x.is_meta and torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                total = self._sweep(x.float())
        else:
            total = self._sweep(x)
        result: Tensor = self.mix(total)
        return result

    def _sweep(self, x: Tensor) -> Tensor:
        """Sum both directions of all axes."""
        channels_last = x.movedim(1, -1)
        total = torch.zeros_like(channels_last)
        for axis, rnn in enumerate(self.axes, start=1):
            lines = channels_last.movedim(axis, -2)
            both = _run(rnn, lines.reshape(-1, lines.shape[-2], self.width))
            swept = both[..., : self.width] + both[..., self.width :]
            total = total + swept.reshape(lines.shape).movedim(-2, axis)
        return total.movedim(-1, 1)


def _run(rnn: nn.Module, lines: Tensor) -> Tensor:
    """Return both directions' states; exporting can't trace the module's own list of weights."""
    if not torch.compiler.is_compiling():
        states: Tensor = rnn(lines)[0]
        return states
    start = lines.new_zeros(2, lines.shape[0], lines.shape[2])
    weights = tuple(rnn.parameters())
    result = torch.rnn_relu(lines, start, weights, True, 1, 0.0, rnn.training, True, True)
    return result[0]
