"""What a plan has to know of a network. It is filled in by `pipeline.networks.facts`, above."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

# in single precision: weights, their gradients, AdamW's two moments, the averaged copy
BYTES_PER_PARAMETER: Final = 5 * 4


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """One network with its options, in 2D or in 3D: which patches it takes and what they cost.

    Attributes:
        divisor: One number per axis: an axis takes `divisor * m + offset` voxels.
        smallest: The fewest voxels per axis in training.
        offset: 0 but for networks of unpadded convolutions.
        border: Voxels that an axis loses from image to logits, half on each side; likewise.
        heads: Tensors of logits that training returns.
        bytes_per_voxel: Kept for the backward pass for each voxel of a patch, in single
            precision. All of a training needs about a third more.
        parameters: Numbers that are learned, or frozen.
        options: Names of the options that it takes, such as `norm`, `strides` or `checkpoint`.
    """

    divisor: tuple[int, ...]
    smallest: tuple[int, ...]
    offset: int
    border: int
    heads: int
    bytes_per_voxel: float
    parameters: int
    options: tuple[str, ...]

    def next_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the next size at or above `size` that the network trains on, axis by axis."""
        return tuple(
            max(least, -(-(n - self.offset) // step) * step + self.offset)
            for n, step, least in zip(size, self.divisor, self.smallest, strict=True)
        )

    def training_bytes(self, patch: Sequence[int], batch: int) -> float:
        """Return what a training keeps for a batch of patches: activations, weights, moments."""
        return batch * prod(patch) * self.bytes_per_voxel + self.parameters * BYTES_PER_PARAMETER
