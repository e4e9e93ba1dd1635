"""The two presets: how much a patch may hold, and the pace of a training."""

import math
from dataclasses import dataclass
from typing import Final

from pipeline.planning.network import BYTES_PER_PARAMETER, NetworkFacts

BYTES_PER_VOXEL_AND_WIDTH: Final = 85  # of an attention U-Net, the heaviest plain one
LOSS_BYTES_PER_CLASS: Final = 5 * 4  # logits, both softmaxes, the label one-hot, the gradient
OVERHEAD: Final = 4 / 3  # buffers of the backward pass, over what the forward pass keeps
USABLE: Final = 0.8  # of the device's memory; the rest is the program's and the cases'
FEWEST_PATCHES: Final = 2  # of an update
SMALLEST: Final = 16  # voxels along an axis of the least patch, whatever the memory


@dataclass(frozen=True, slots=True)
class Room:
    """What an update may hold.

    Attributes:
        voxels: Most voxels of a patch.
        update: Most voxels of all its patches.
        forced: What memory forces, in words; empty where it is the preset's.
    """

    voxels: int
    update: int
    forced: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset assumes.

    Attributes:
        patch_voxels: Most voxels of one patch, in 2D and in 3D.
        patches: Patches of that size per update, in 2D and in 3D.
        first_width: Channels of the finest level of a plain U-Net.
        levels: Of a plain U-Net.
        largest_batch: Most patches per update.
        epoch_length: Updates per epoch.
        context: A patch shall see at least one in this many of the median case's voxels.
        rates: Peak learning rate without and with batch norm.
    """

    patch_voxels: tuple[int, int]
    patches: tuple[int, int]
    first_width: int
    levels: int
    largest_batch: int
    epoch_length: int
    context: int
    rates: tuple[float, float]

    def plain_network(self, dims: int) -> NetworkFacts:
        """The facts of a plain U-Net, for a plan without a network."""
        divisor = (2 ** (self.levels - 1),) * dims
        cost = BYTES_PER_VOXEL_AND_WIDTH * self.first_width
        return NetworkFacts(divisor, divisor, 0, 0, 1, cost, 0, ("norm",))

    def room(
        self, dims: int, memory_gib: float | None, network: NetworkFacts, classes: int
    ) -> Room:
        """What an update may hold: the preset's voxels, or what the memory allows.

        Args:
            dims: 2 or 3.
            memory_gib: What the device offers; None or infinite: enough.
            network: Says what a voxel costs.
            classes: Channels of the logits, which cost too.
        """
        wanted, count = self.patch_voxels[dims - 2], self.patches[dims - 2]
        preset = Room(wanted, wanted * count, "")
        if memory_gib is None or math.isinf(memory_gib):
            return preset
        fixed = update_bytes(network, 0, classes)
        each = update_bytes(network, 1, classes) - fixed
        free = USABLE * memory_gib * 2**30 - fixed
        update = max(int(free / each), FEWEST_PATCHES * SMALLEST**dims)
        if update >= preset.update:
            return preset
        forced = f"the memory of {memory_gib:.1f} GiB forces fewer"
        return Room(min(wanted, update // FEWEST_PATCHES), update, forced)


def update_bytes(network: NetworkFacts, voxels: int, classes: int) -> float:
    """Bytes that an update keeps: activations, loss, weights, gradients and moments.

    Args:
        network: Says what a voxel costs.
        voxels: Of all patches together.
        classes: Channels of the logits.
    """
    weights = network.parameters * BYTES_PER_PARAMETER
    each = network.bytes_per_voxel * OVERHEAD + LOSS_BYTES_PER_CLASS * classes
    return weights + voxels * each


PRESETS: Final = {
    "compact": Preset((128 * 128, 32 * 32 * 32), (8, 2), 16, 4, 16, 50, 8, (3e-3, 2e-2)),
    "full": Preset((512 * 512, 96 * 96 * 96), (8, 2), 64, 5, 32, 250, 64, (1e-3, 3e-3)),
}
