"""How much each voxel of a window counts, and what the weights of overlapping windows add up to."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import product
from typing import Final

import torch
from monai.data.utils import compute_importance_map
from torch import Tensor

from pipeline.inferers.pages import own_pages

KEPT_BYTES: Final = 32 * 2**20  # of sums that several cells share


class Importance:
    """MONAI's importance map of a window, and its sums, added up in the order of the windows.

    Args:
        patch: The window in voxels.
        blend: "gaussian" or "constant".
        device: Where both lie.
    """

    def __init__(self, patch: Sequence[int], blend: str, device: torch.device) -> None:
        self.map: Tensor = compute_importance_map(tuple(patch), mode=blend, device=device)
        self._sums: OrderedDict[object, Tensor] = OrderedDict()
        self._bytes = 0

    def sum(
        self, offsets: Sequence[Sequence[int]], size: Sequence[int], axes: Sequence[int]
    ) -> Tensor:
        """The sum of weights on a cell.

        Args:
            offsets: Per axis, where in each window that touches the cell the cell begins.
            size: Of the cell.
            axes: The order of windows: the first of these changes slowest.
        """
        key = (tuple(map(tuple, offsets)), tuple(size))
        if key in self._sums:
            self._sums.move_to_end(key)
            return self._sums[key]
        found = own_pages(size, device=self.map.device).zero_()
        for ordered in product(*(offsets[axis] for axis in axes)):
            corner = dict(zip(axes, ordered, strict=True))
            found += self.map[tuple(slice(corner[a], corner[a] + n) for a, n in enumerate(size))]
        self._keep(key, found)
        return found

    def _keep(self, key: object, found: Tensor) -> None:
        self._sums[key] = found
        self._bytes += found.numel() * 4
        while self._bytes > KEPT_BYTES and len(self._sums) > 1:
            self._bytes -= self._sums.popitem(last=False)[1].numel() * 4
