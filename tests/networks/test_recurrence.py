"""Recurrences change outputs and never counts; options do what they say."""

from typing import Any

import pytest
import torch

from pipeline.contract import Network
from pipeline.networks import build_network

SMALL = {
    "r2unet": (4, 6, 8),
    "r2attunet": (4, 6, 8),
    "bionet": (4, 6, 8, 10, 12),
}


def filled(name: str, **options: Any) -> Network:
    """A network whose weights depend on their order and size alone."""
    network = build_network(name, 2, 1, 2, **{"widths": SMALL[name], **options})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in sorted(network.named_parameters()):
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return network.eval()


@pytest.mark.parametrize("name", ["r2unet", "r2attunet"])
def test_t_changes_the_output_and_not_the_count(name: str) -> None:
    x = torch.randn(1, 1, 16, 16)
    networks = [filled(name, t=t) for t in (0, 1, 2, 3)]
    outputs = [network(x) for network in networks]
    assert len({sum(p.numel() for p in n.parameters()) for n in networks}) == 1
    assert all(not torch.allclose(outputs[0], other) for other in outputs[1:])
    assert not torch.allclose(outputs[2], outputs[3])


def test_a_recurrent_unit_applies_its_convolution_t_plus_one_times() -> None:
    network, calls = filled("r2unet", t=2), []
    unit = network.get_submodule("encoder.0.first.unit")
    unit.register_forward_hook(lambda *_: calls.append(1))
    network(torch.zeros(1, 1, 16, 16))
    assert len(calls) == 3


def test_bionet_shares_convolutions_and_has_norms_per_iteration() -> None:
    once, thrice = filled("bionet", t=1, integrate=False), filled("bionet", t=3, integrate=False)
    convolutions = [
        sum(p.numel() for p in network.parameters() if p.ndim > 1) for network in (once, thrice)
    ]
    assert convolutions[0] == convolutions[1]
    middle = [key for key in thrice.state_dict() if key.startswith("middle.")]
    assert not [key for key in middle if ".norms.1." in key]
    assert [key for key in thrice.state_dict() if key.startswith("encoder_merge.0.norms.2.")]
    x = torch.randn(1, 1, 32, 32)
    assert not torch.allclose(once(x), thrice(x))


def test_bionet_freezes_the_norms_that_only_integration_would_use() -> None:
    network = build_network("bionet", 2, 1, 2, widths=(4, 6, 8, 10, 12), t=3, integrate=False)
    frozen = {key for key, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {
        f"decoder_up.0.norms.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")
    }
    network.train()(torch.randn(2, 1, 64, 64)).square().mean().backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_each_level_of_bcdunet_s_dense_bottleneck_adds_a_block() -> None:
    widths = (4, 6, 8, 10)
    counts = [
        sum(p.numel() for p in build_network("bcdunet", 2, 1, 2, widths=widths, D=d).parameters())
        for d in (1, 2, 3)
    ]
    conv = 9 * 10 * 10 + 10
    assert counts[1] - counts[0] == 2 * conv
    assert counts[2] - counts[1] == 2 * conv + 9 * 10 * 10
