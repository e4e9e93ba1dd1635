from collections.abc import Iterable, Iterator

import pytest
import torch
from torch import Tensor

from pipeline.inferers.layout import lay_windows
from pipeline.inferers.mirror import Mirrored
from pipeline.inferers.sweep import Sweep
from tests.inferers.stub import Stub, conv


@pytest.mark.parametrize("dims", [2, 3])
@torch.no_grad()
def test_the_mean_over_all_flips_each_flipped_back(dims: int) -> None:
    network = conv(dims, 2, 3)
    batches = [torch.randn(n, 2, *(6, 5, 4)[:dims]) for n in (2, 1)]
    engine = Stub(network, 2)
    found = [logits.clone() for logits in Mirrored(engine, dims).run(batches)]
    axes = range(2, 2 + dims)
    for batch, logits in zip(batches, found, strict=True):
        wanted = torch.stack(
            [
                network(batch.flip(flip)).flip(flip)
                for bits in range(2**dims)
                for flip in [tuple(a for n, a in enumerate(axes) if bits >> n & 1)]
            ]
        ).mean(0)
        assert torch.allclose(logits, wanted, atol=1e-6)
    assert len(engine.seen) == 2 * 2**dims


def test_it_is_an_engine_like_any_other() -> None:
    engine = Stub(conv(3, 1, 2), 2)
    mirrored = Mirrored(engine, 3)
    assert (mirrored.name, mirrored.precision, mirrored.batch) == ("stub", "fp32", 2)
    image, layout = torch.randn(1, 9, 8, 7), lay_windows((9, 8, 7), (4, 4, 4), 0.5)
    upright = {b.where[0].start: b.logits.clone() for b in Sweep(image, layout, mirrored).blocks()}
    flipped = Sweep(image.flip(3), layout, mirrored)
    for block in flipped.blocks():
        assert block.logits.shape[1:] == tuple(w.stop - w.start for w in block.where)
    assert upright
    mirrored.close()
    assert engine.closed == 1


@torch.no_grad()
def test_the_batch_that_is_not_flipped_is_no_copy() -> None:
    batch, given = torch.randn(1, 1, 4, 4), list[int]()

    class Noting(Stub):
        def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
            for one in batches:
                given.append(one.data_ptr())
                yield self.forward(one)

    list(Mirrored(Noting(conv(2, 1, 2), 1), 2).run([batch]))
    assert given[0] == batch.data_ptr()
    assert len(set(given)) > 1
