"""Masks and probabilities on the source's grid, filled block by block."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.inferers.decision import bytes_of, classes_of, probabilities_of
from pipeline.inferers.sweep import Block
from pipeline.inferers.target import Target


class Masks:
    """What the blocks of a prediction become.

    Arrays are laid out as NIfTI stores them, first axis fastest, so that writing turns nothing.
    Voxels that no block reaches are background.

    Args:
        head: `softmax` or `sigmoid`.
        channels: K of the logits.
        target: The source's grid.
        integers: Of each class index, or of the regions, what stands for it; None: the index.
        named: Channels whose probabilities are kept.

    Attributes:
        classes: `(*S)` integers of a softmax or of a single region; else `(*S, K)` of 0 and 1.
        probabilities: `(*S, C)` uint8 in steps of 1/255, in the order of `named`; None without.
        finite: Whether all logits were numbers.
    """

    def __init__(
        self,
        head: str,
        channels: int,
        target: Target,
        integers: Sequence[int] | None = None,
        named: Sequence[int] = (),
    ) -> None:
        self._head, self._target, self._named = head, target, list(named)
        regions = channels if head == "sigmoid" and channels > 1 else 0
        values = range(max(2, channels)) if integers is None else integers
        wide = np.uint8 if regions or max(values) < 256 else np.uint16
        self._table = None if regions else np.array(values, wide)
        self._maps = _arrays(target.shape, max(1, regions), wide)
        self._shares = _arrays(target.shape, len(self._named), np.uint8)
        self.finite = True

    @property
    def classes(self) -> NDArray[Any]:
        """The mask."""
        return np.moveaxis(self._maps, 0, -1) if self._table is None else self._maps[0]

    @property
    def probabilities(self) -> NDArray[np.uint8] | None:
        """Probabilities of the named channels."""
        return np.moveaxis(self._shares, 0, -1) if self._named else None

    def fill(self, blocks: Iterable[Block]) -> None:
        """Decide for all blocks and put them where they belong."""
        for block in blocks:
            self.finite &= bool(block.logits.sum().isfinite())
            found = classes_of(block.logits, self._head)
            if self._table is not None:
                found = self._table[found]
            self._target.put(found, block.where, list(self._maps))
            if self._named:
                shares = probabilities_of(block.logits, self._head)[self._named]
                self._target.put(bytes_of(shares), block.where, list(self._shares))


def _arrays(shape: Sequence[int], number: int, kind: Any) -> NDArray[Any]:
    """Zeros `(number, *shape)`, each with its first axis fastest."""
    return np.zeros((number, *reversed(shape)), kind).transpose(0, *range(len(shape), 0, -1))
