"""The one wrapper that lets a network take any size: pad, predict, crop back."""

from collections.abc import Sequence
from typing import Final

from torch import Tensor
from torch.nn import functional

from pipeline.contract import GuidedOutput, Network
from pipeline.errors import UnknownNameError

MODES: Final = ("replicate", "constant")


class PaddedNetwork(Network):
    """Pad `(B, C, *S)` at the far end of each axis to a size that fits, and crop the logits.

    Heads of coarser resolution are cropped to the voxels that cover the input. A network that no
    padding helps (unpadded convolutions, a fixed size) gets its input as it is and may refuse it.

    Args:
        network: The wrapped network.
        mode: "replicate" repeats the border, "constant" pads with zeros.

    Raises:
        UnknownNameError: No such mode.
    """

    divisor = 1

    def __init__(self, network: Network, *, mode: str = "replicate") -> None:
        super().__init__(network.spatial_dims, network.in_channels, network.out_channels)
        if mode not in MODES:
            raise UnknownNameError(f"no padding {mode!r}", hint=f"use {' or '.join(MODES)}")
        self.network = network
        self.mode = mode
        self.heads = network.heads
        self.paddable = network.paddable

    def next_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return `size`, or what the network wants where padding doesn't help."""
        return tuple(size) if self.paddable else self.network.next_size(size)

    def output_size(self, n: int) -> int:
        """Length of the logits along an axis of `n` voxels."""
        return self.network.output_size(n)

    def forward(self, x: Tensor) -> Tensor | list[Tensor] | GuidedOutput:
        """Map `(B, C, *S)` to the network's logits, cropped to S."""
        size = tuple(x.shape[2:])
        if not self.paddable or len(size) != self.spatial_dims:
            return self.network(x)  # type: ignore[no-any-return]
        wanted = self.network.next_size(size)
        if wanted == size:
            return self.network(x)  # type: ignore[no-any-return]
        missing = [long - short for long, short in zip(wanted, size, strict=True)]
        sides = [side for n in reversed(missing) for side in (0, n)]
        output = self.network(functional.pad(x, sides, mode=self.mode))
        if isinstance(output, GuidedOutput):
            heads = [_crop(head, size, wanted) for head in output.heads]
            return GuidedOutput(heads, output.class_logits)
        if isinstance(output, list):
            return [_crop(head, size, wanted) for head in output]
        return _crop(output, size, wanted)


def _crop(logits: Tensor, size: Sequence[int], padded: Sequence[int]) -> Tensor:
    """Keep the voxels that cover `size`, whatever the resolution of the logits."""
    for axis, (n, whole) in enumerate(zip(size, padded, strict=True), start=2):
        length = -(-n * logits.shape[axis] // whole)
        logits = logits.narrow(axis, 0, length)
    return logits
