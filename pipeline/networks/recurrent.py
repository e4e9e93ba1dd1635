"""The recurrent residual block of R2U-Net."""

from torch import Tensor, nn

from pipeline.networks.layers import Layers, Size


class RecurrentUnit(nn.Module):
    """One convolution, norm and activation, applied t + 1 times with the input added each time.

    Args:
        layers: Norm and activation.
        width: Channels of input and result.
        kernel: Kernel size, odd.
        t: Number of repetitions after the first application.
    """

    def __init__(self, layers: Layers, width: int, kernel: Size, t: int) -> None:
        super().__init__()
        self.unit = layers.unit(width, width, kernel)
        self.t = t

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, width, *S)` after t repetitions; one set of weights and statistics."""
        y: Tensor = self.unit(x)
        for _ in range(self.t):
            y = self.unit(x + y)
        return y


class RecurrentBlock(nn.Module):
    """A 1x1 convolution, and two recurrent units added to it.

    Args:
        layers: Norm, activation and dropout.
        channels: Channels of the input.
        width: Channels of the result.
        kernel: Kernel size, odd.
        t: Number of repetitions in each unit.

    Source: article 004; Alom et al., arXiv 1802.06955.
    """

    def __init__(self, layers: Layers, channels: int, width: int, kernel: Size, t: int) -> None:
        super().__init__()
        self.project = layers.conv(channels, width, 1)
        self.first = RecurrentUnit(layers, width, kernel, t)
        self.second = RecurrentUnit(layers, width, kernel, t)
        self.dropout = layers.drop() or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, channels, *S)` to `(B, width, *S)`."""
        x = self.project(x)
        result: Tensor = self.dropout(x + self.second(self.first(x)))
        return result
