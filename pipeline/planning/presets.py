"""The two presets: how much a patch may hold, and the pace of a training."""

from dataclasses import dataclass
from typing import Final

BYTES_PER_VOXEL_AND_WIDTH = 85  # saved for backward by an attention U-Net, the heaviest plain one


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset assumes.

    Attributes:
        patch_voxels: Most voxels of one patch, in 2D and in 3D.
        patches: Patches of that size per update, in 2D and in 3D.
        first_width: Channels of the finest level, for the memory that an update needs.
        largest_batch: Most patches per update.
        epoch_length: Updates per epoch.
        context: A patch shall see at least one in this many of the median case's voxels.
        rates: Peak learning rate without and with batch norm.
    """

    patch_voxels: tuple[int, int]
    patches: tuple[int, int]
    first_width: int
    largest_batch: int
    epoch_length: int
    context: int
    rates: tuple[float, float]

    def voxels(self, dims: int, memory_gib: float | None) -> tuple[int, str]:
        """Most voxels of a patch within the memory, and the words for it."""
        wanted, count = self.patch_voxels[dims - 2], self.patches[dims - 2]
        why = f"at most {wanted} voxels (preset)"
        if memory_gib is None:
            return wanted, why
        room = 0.6 * memory_gib * 2**30 / (BYTES_PER_VOXEL_AND_WIDTH * self.first_width * count)
        if room >= wanted:
            return wanted, why
        return int(room), f"at most {int(room)} voxels (memory of {memory_gib:.1f} GiB)"


PRESETS: Final = {
    "compact": Preset((128 * 128, 32 * 32 * 32), (8, 2), 16, 16, 50, 8, (3e-3, 2e-2)),
    "full": Preset((512 * 512, 96 * 96 * 96), (8, 2), 64, 32, 250, 64, (1e-3, 3e-3)),
}
