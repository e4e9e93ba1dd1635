"""MedNeXt behind our contract: MONAI's size classes, kernel 3."""

from typing import Any, Final

from monai.networks.nets.mednext import MedNeXt as MonaiMedNeXt
from torch import Tensor

from pipeline.contract import Network
from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.networks.checkpoint import run

SIZES: Final[dict[str, dict[str, Any]]] = {  # MONAI's, as the paper's table has them
    "S": {},
    "B": {
        "encoder_expansion_ratio": (2, 3, 4, 4),
        "decoder_expansion_ratio": (4, 4, 3, 2),
        "bottleneck_expansion_ratio": 4,
    },
    "M": {
        "encoder_expansion_ratio": (2, 3, 4, 4),
        "decoder_expansion_ratio": (4, 4, 3, 2),
        "bottleneck_expansion_ratio": 4,
        "blocks_down": (3, 4, 4, 4),
        "blocks_bottleneck": 4,
        "blocks_up": (4, 4, 4, 3),
    },
    "L": {
        "encoder_expansion_ratio": (3, 4, 8, 8),
        "decoder_expansion_ratio": (8, 8, 4, 3),
        "bottleneck_expansion_ratio": 8,
        "blocks_down": (3, 4, 8, 8),
        "blocks_bottleneck": 8,
        "blocks_up": (8, 8, 4, 3),
    },
}


class MedNeXt(Network):
    """ConvNeXt blocks in a U of four down-samplings.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`; there is no softmax inside.
        size: "S", "B", "M" or "L", in rising order.
        filters: Channels of the finest level, which each coarser one doubles.
        kernel: Kernel size of the depth-wise convolutions, odd.
        deep_supervision: Whether training returns five heads at native size, finest first.
        checkpoint: Whether blocks are computed again in the backward pass, to save memory.

    Raises:
        InvalidValueError: `filters` or `kernel` outside its range.
        UnknownNameError: No such size.

    Source: Roy et al., arXiv 2303.09975; MONAI's `MedNeXt`, with residual connections.
    """

    divisor = 16

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        size: str = "S",
        filters: int = 32,
        kernel: int = 3,
        deep_supervision: bool = False,
        checkpoint: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        if size not in SIZES:
            raise UnknownNameError(f"there is no size {size!r}", hint=f"use {', '.join(SIZES)}")
        if filters < 1 or kernel < 1 or kernel % 2 == 0:
            hint = "use filters from 1 on and an odd kernel"
            raise InvalidValueError(f"filters is {filters}, kernel is {kernel}", hint=hint)
        self.checkpoint = checkpoint
        self.body = MonaiMedNeXt(
            spatial_dims,
            filters,
            in_channels,
            out_channels,
            kernel_size=kernel,
            deep_supervision=deep_supervision,
            use_residual_connection=True,
            **SIZES[size],
        )
        self.heads = 1 + len(self.body.out_blocks) if deep_supervision else 1

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Map `(B, C, *S)` to logits `(B, K, *S)`; in training with deep supervision to a list."""
        self.check_input(x)
        body, kept = self.body, list[Tensor]()
        x = body.stem(x)
        for stage, down in zip(body.enc_stages, body.down_blocks, strict=True):
            x = run(stage, x, checkpointed=self.checkpoint)
            kept.append(x)
            x = run(down, x, checkpointed=self.checkpoint)
        decoded = [run(body.bottleneck, x, checkpointed=self.checkpoint)]  # finest first
        for up, stage in zip(body.up_blocks, body.dec_stages, strict=True):
            x = run(up, decoded[0], checkpointed=self.checkpoint) + kept.pop()
            decoded.insert(0, run(stage, x, checkpointed=self.checkpoint))
        logits: Tensor = body.out_0(decoded[0])
        if not self.training or self.heads == 1:
            return logits
        coarser = zip(reversed(body.out_blocks), decoded[1:], strict=True)
        return [logits, *(head(level) for head, level in coarser)]
