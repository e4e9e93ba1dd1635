"""The decoder node of UNet 3+, which joins tensors of every scale."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.networks.layers import Layers
from pipeline.networks.resize import resize

POOL = {2: functional.max_pool2d, 3: functional.max_pool3d}


class FullScale(nn.Module):
    """Bring all levels to the size of one, convolve each, and join them.

    Args:
        layers: Norm and activation.
        level: The level whose size the result has.
        widths: Channels of each encoder level, finest first; a branch has the first.
        joined: Channels of the result, and of each coarser decoder level but the bottleneck.

    Source: Huang et al., arXiv 2004.08790, figure 2.
    """

    def __init__(self, layers: Layers, level: int, widths: tuple[int, ...], joined: int) -> None:
        super().__init__()
        self.level = level
        self.pool = POOL[layers.dims]
        coarser = [joined] * (len(widths) - 2 - level) + [widths[-1]]
        self.branches = nn.ModuleList(
            layers.unit(width, widths[0]) for width in (*widths[: level + 1], *coarser)
        )
        self.join = layers.unit(joined, joined)

    def forward(self, *sources: Tensor) -> Tensor:
        """Take encoder levels down to the own one, then coarser decoder levels, finest first."""
        size = sources[self.level].shape[2:]
        parts: list[Tensor] = []
        for j, (source, branch) in enumerate(zip(sources, self.branches, strict=True)):
            if j < self.level:
                resized = self.pool(source, 2 ** (self.level - j), ceil_mode=True)
            else:
                resized = resize(source, size)
            parts.append(branch(resized))
        joined: Tensor = self.join(torch.cat(parts, 1))
        return joined
