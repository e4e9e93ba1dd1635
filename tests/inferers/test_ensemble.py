import pytest
import torch

from pipeline.inferers.ensemble import mean_blocks
from pipeline.inferers.layout import lay_windows
from pipeline.inferers.sweep import Sweep
from tests.inferers.stub import Stub, conv, monai


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_members_advance_together_and_give_the_mean_of_their_probabilities(head: str) -> None:
    image, layout = torch.randn(1, 40, 9, 8), lay_windows((40, 9, 8), (6, 6, 6), 0.5)
    networks = [conv(3, 1, 3, seed) for seed in range(3)]
    sweeps = [Sweep(image, layout, Stub(network)) for network in networks]
    found = torch.zeros(3, 40, 9, 8)
    apart = 0
    for block in mean_blocks([sweep.blocks() for sweep in sweeps], head):
        logits = block.logits
        share = logits.softmax(0) if head == "softmax" else logits.sigmoid()
        found[(slice(None), *block.where)] = share
        counts = [sweep.windows for sweep in sweeps]
        apart = max(apart, max(counts) - min(counts))
    each = [monai(image, network, (6, 6, 6), 0.5) for network in networks]
    shares = [x.softmax(0) if head == "softmax" else x.sigmoid() for x in each]
    assert torch.allclose(found, torch.stack(shares).mean(0), atol=1e-5)
    assert apart == 0


def test_members_whose_blocks_differ_are_a_bug() -> None:
    image, layout = torch.randn(1, 9, 9), lay_windows((9, 9), (6, 6), 0.5)
    first, second = (Sweep(image, layout, Stub(conv(2, 1, 2))) for _ in range(2))
    with pytest.raises(ValueError, match=r"shorter|longer"):
        list(mean_blocks([first.blocks(), second.blocks(((0, 3), (0, 9)))], "softmax"))
