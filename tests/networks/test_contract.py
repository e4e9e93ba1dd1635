"""Every row of the table keeps the contract, in 2D and 3D, in its compact preset."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.contract import Network
from pipeline.errors import InvalidValueError
from pipeline.networks import NETWORKS, build_network, preset_options

CHANNELS, CLASSES = 2, 3
rows = pytest.mark.parametrize("name", NETWORKS)
axes = pytest.mark.parametrize("dims", [2, 3])


def compact(name: str, dims: int, **options: Any) -> Network:
    torch.manual_seed(0)
    return build_network(
        name, dims, CHANNELS, CLASSES, **{**preset_options(name, "compact", dims), **options}
    )


def size_of(network: Network) -> tuple[int, ...]:
    """The smallest size on which it trains, longer along the first axis."""
    size = network.next_size([2] * network.spatial_dims)
    return network.next_size((size[0] + 1, *size[1:]))


def random_image(network: Network, batch: int = 2) -> Tensor:
    return torch.randn(batch, CHANNELS, *size_of(network))


@rows
@axes
def test_evaluation_returns_one_tensor_of_logits(name: str, dims: int) -> None:
    network = compact(name, dims).eval()
    x = random_image(network, 1)
    with torch.no_grad():
        logits = network(x)
    assert logits.shape == (1, CLASSES, *map(network.output_size, x.shape[2:]))
    assert logits.isfinite().all()
    assert logits.min() < 0 or logits.max() > 1


@rows
@axes
def test_training_gives_every_trainable_parameter_a_gradient(name: str, dims: int) -> None:
    network = compact(name, dims).train()
    output = network(random_image(network))
    heads = [output] if isinstance(output, Tensor) else output
    assert len(heads) == network.heads
    torch.stack([head.square().mean() for head in heads]).sum().backward()  # type: ignore[no-untyped-call]
    missing = [key for key, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


@rows
@axes
def test_a_size_that_does_not_fit_is_refused_with_the_next_that_does(name: str, dims: int) -> None:
    network = compact(name, dims).eval()
    size = size_of(network)
    wrong = (size[0] - 1, *size[1:])
    if network.next_size(wrong) == wrong:
        assert network.divisors == (1,) * dims
        return
    with pytest.raises(InvalidValueError, match="x".join(map(str, wrong))) as caught:
        network(torch.zeros(1, CHANNELS, *wrong))
    following = "x".join(map(str, network.next_size(wrong)))
    assert following in caught.value.hint
    assert network(torch.zeros(1, CHANNELS, *network.next_size(wrong))).isfinite().all()


@rows
def test_other_channels_or_axes_are_refused(name: str) -> None:
    network = compact(name, 2)
    size = size_of(network)
    with pytest.raises(InvalidValueError, match="shape is"):
        network(torch.zeros(1, CHANNELS + 1, *size))
    with pytest.raises(InvalidValueError, match="shape is"):
        network(torch.zeros(1, CHANNELS, *size, size[0]))


@rows
@axes
def test_the_seed_gives_the_same_weights(name: str, dims: int) -> None:
    first, second = compact(name, dims).state_dict(), compact(name, dims).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@rows
@axes
def test_names_and_ranks_of_tensors_follow_the_golden_recipe(name: str, dims: int) -> None:
    for key, tensor in compact(name, dims).named_parameters():
        last = key.rpartition(".")[2]
        assert tensor.ndim == 1 or "bias" not in last, key
