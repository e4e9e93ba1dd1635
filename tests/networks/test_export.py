"""Every network exports in evaluation, with the same logits."""

import pytest
import torch

from pipeline.networks import NETWORKS, build_network, preset_options


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_exported_program_gives_the_same_logits(name: str, dims: int) -> None:
    torch.manual_seed(0)
    options = preset_options(name, "compact", dims)
    if name == "unet_valid":
        options["widths"] = (2, 2, 2, 2, 2)
    network = build_network(name, dims, 2, 3, **options).eval()
    x = torch.randn(1, 2, *network.next_size([20] * dims))
    with torch.no_grad():
        expected = network(x)
        program = torch.export.export(network, (x,))
        logits = program.module()(x)
    assert torch.allclose(logits, expected, atol=1e-4 * float(expected.abs().max()))
