"""Several models of the same classes: the mean of their probabilities."""

from collections.abc import Iterator, Sequence

from pipeline.inferers.decision import logits_of, probabilities_of
from pipeline.inferers.sweep import Block


def mean_blocks(members: Sequence[Iterator[Block]], head: str) -> Iterator[Block]:
    """Yield blocks whose logits have the mean of the members' probabilities.

    All members advance together, so that each holds its unfinished cells only. They must yield
    the same blocks in the same order.

    Args:
        members: At least one.
        head: `softmax` or `sigmoid`.
    """
    for blocks in zip(*members, strict=True):
        total = probabilities_of(blocks[0].logits, head)
        for block in blocks[1:]:
            total += probabilities_of(block.logits, head)
        yield Block(blocks[0].where, logits_of(total.div_(len(blocks)), head))
