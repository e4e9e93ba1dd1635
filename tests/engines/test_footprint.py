"""What a forward would take is told without computing it."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.engines.footprint import KERNELS, forward_bytes
from pipeline.networks import build_network

KIB = 2**10


class Steps(nn.Module):
    """Two maps of 4 channels that live together, then a sum; views of them take nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return their sum."""
        first = self.first(x)
        second = self.second(first.transpose(2, 3).transpose(2, 3))
        result: Tensor = first + second
        del first, second
        return result[:, :1]


def test_tensors_that_live_at_the_same_time_are_counted() -> None:
    a_map = 2 * 4 * 32 * 32 * 4
    assert forward_bytes(Steps(), (2, 1, 32, 32)) == KERNELS * 3 * a_map


@pytest.mark.parametrize(("dims", "patch"), [(2, (64, 64)), (3, (32, 32, 32))])
def test_a_network_with_gates_is_told_and_left_as_it_is(dims: int, patch: tuple[int, ...]) -> None:
    network = build_network("attunet", dims, 1, 3).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = forward_bytes(network, (1, 1, *patch))
    largest = 64 * 4 * torch.Size(patch).numel()
    assert found is not None
    assert 2 * largest < found < 40 * largest
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_batch_of_two_takes_twice_as_much() -> None:
    one, two = (forward_bytes(Steps(), (n, 1, 32, 32)) for n in (1, 2))
    assert one is not None
    assert two == 2 * one


class Looks(nn.Module):
    """Depends on a value."""

    def forward(self, x: Tensor) -> Tensor:
        """Return twice the input, or not."""
        return 2 * x if float(x.sum()) > 0 else x


def test_a_network_that_looks_at_values_is_not_told() -> None:
    assert forward_bytes(Looks(), (1, 1, 8, 8)) is None
