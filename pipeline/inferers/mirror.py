"""Test-time mirroring: the mean of the logits over flips of all axes."""

from collections.abc import Iterable, Iterator
from itertools import combinations

from torch import Tensor

from pipeline.contract import Engine


class Mirrored(Engine):
    """Another engine asked once for each set of flipped axes: 4 times in 2D, 8 times in 3D.

    Args:
        engine: What computes; closed with this one.
        dims: Number of its spatial axes.
    """

    def __init__(self, engine: Engine, dims: int) -> None:
        self.engine = engine
        self.name, self.precision = engine.name, engine.precision
        self.batch, self.threads = engine.batch, engine.threads
        axes = range(-dims, 0)
        self._flips = [flip for n in range(dims + 1) for flip in combinations(axes, n)]

    def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the mean logits of each batch; those of a flipped one are flipped back."""
        flipped = (b.flip(flip) if flip else b for b in batches for flip in self._flips)
        total: Tensor | None = None
        for number, logits in enumerate(self.engine.run(flipped)):
            flip = self._flips[number % len(self._flips)]
            if not flip:
                if total is None or total.shape != logits.shape:
                    total = logits.clone()
                else:
                    total.copy_(logits)
                continue
            assert total is not None
            total += logits.flip(flip)
            if flip == self._flips[-1]:
                yield total.div_(len(self._flips))

    def close(self) -> None:
        """Close the engine that computes."""
        self.engine.close()
