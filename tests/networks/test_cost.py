"""Multiply-adds and memory of the full-width networks, against figures counted elsewhere."""

import pytest
import torch

from pipeline.networks import NETWORKS, build_network
from pipeline.networks.cost import measure_cost

PUBLISHED = {  # 2D at 256 x 256, 3D at 96^3: giga multiply-adds and GiB, by a second implementation
    "unet": ((48.1, 0.32), (801, 2.9)),
    "attunet": ((66.4, 0.48), (1164, 4.5)),
    "unetpp": ((34.5, 0.47), (850, 5.0)),
    "r2unet": ((152.5, 1.26), (2621, 11.8)),
    "unet3plus": ((197.7, 1.30), (6577, 14.7)),
    "multiresunet": ((15.7, 0.56), (281, 5.5)),
    "nnunet": ((14.9, 0.15), (201, 1.4)),
    "vnet": ((13.9, 0.11), (309, 0.9)),
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_cost_is_the_published_one(name: str, dims: int) -> None:
    with torch.device("meta"):
        network = build_network(name, dims, *NETWORKS[name].channels)
    cost = measure_cost(network, (256, 256) if dims == 2 else (96, 96, 96))
    adds, memory = PUBLISHED[name][dims - 2]
    assert cost.multiply_adds / 1e9 == pytest.approx(adds, rel=0.005)
    assert cost.activation_bytes / 2**30 == pytest.approx(memory, rel=0.02, abs=0.05)


def test_a_batch_of_two_costs_twice() -> None:
    with torch.device("meta"):
        network = build_network("unet", 2, 1, 2, widths=(4, 8, 16))
    one, two = measure_cost(network, (32, 32)), measure_cost(network, (32, 32), batch=2)
    assert two.multiply_adds == 2 * one.multiply_adds
    assert 1.9 * one.activation_bytes < two.activation_bytes <= 2 * one.activation_bytes
