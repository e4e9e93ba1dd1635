"""R2U-Net with the attention gates of Attention U-Net."""

from torch import Tensor

from pipeline.networks.attention_gate import gates
from pipeline.networks.layers import Layers
from pipeline.networks.r2unet import R2UNet


class R2AttUNet(R2UNet):
    """R2U-Net whose skips pass same-resolution attention gates; takes the options of `R2UNet`.

    Source: article 004; Alom et al., arXiv 1802.06955; Oktay et al., arXiv 1804.03999.
    """

    def add_gates(self, layers: Layers) -> None:
        """Gate every skip."""
        self.gates = gates(layers, self.widths[:-1])

    def merge(self, up: Tensor, skip: Tensor, level: int) -> Tensor:
        """Concatenate the gated skip and the up-sampled tensor."""
        return super().merge(up, self.gates[level](up, skip), level)
