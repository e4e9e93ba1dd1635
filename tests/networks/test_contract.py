"""Every row of the table keeps the contract, in 2D and 3D, in its compact preset."""

from math import prod

import pytest
import torch
from torch import Tensor

from pipeline.contract import Network
from pipeline.errors import InvalidValueError
from pipeline.networks import NETWORKS, build_network, preset_options

CHANNELS, CLASSES = 2, 3
rows = pytest.mark.parametrize("name", NETWORKS)
axes = pytest.mark.parametrize("dims", [2, 3])
SLOW = [("unet_valid", 3)]  # 188 voxels a side
trained = pytest.mark.parametrize(
    ("name", "dims"),
    [
        pytest.param(name, dims, marks=pytest.mark.slow if (name, dims) in SLOW else ())
        for name in NETWORKS
        for dims in (2, 3)
    ],
)


SMALLER = {"unet_valid": {"widths": (2, 2, 2, 2, 2)}}  # 188 voxels a side take their time


def compact(name: str, dims: int) -> Network:
    torch.manual_seed(0)
    options = {**preset_options(name, "compact", dims), **SMALLER.get(name, {})}
    return build_network(name, dims, CHANNELS, CLASSES, **options)


def size_of(network: Network, longest: int = 2) -> tuple[int, ...]:
    """The smallest size with some voxels at the bottleneck, `longest` along the first axis."""
    size = network.next_size([1] * network.spatial_dims)
    while prod(network.bottleneck_size(size)) < longest:
        size = network.next_size((size[0] + 1, *size[1:]))
    return size


def random_image(network: Network, batch: int = 2, longest: int = 2) -> Tensor:
    return torch.randn(batch, CHANNELS, *size_of(network, longest))


@rows
@axes
def test_evaluation_returns_one_tensor_of_logits(name: str, dims: int) -> None:
    network = compact(name, dims).eval()
    x = random_image(network, 1)
    with torch.no_grad():
        logits = network(x)
    assert logits.shape == (1, CLASSES, *map(network.output_size, x.shape[2:]))
    assert logits.isfinite().all()


@trained
def test_training_gives_every_trainable_parameter_a_gradient(name: str, dims: int) -> None:
    network = compact(name, dims).train()
    output = network(random_image(network, 1 if name == "unet_valid" else 2))
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
def test_a_one_dimensional_tensor_is_an_offset_called_bias_or_a_scale(name: str, dims: int) -> None:
    network = compact(name, dims)
    for key, tensor in network.named_parameters():
        path, _, last = key.rpartition(".")
        if tensor.ndim == 1 and "bias" not in last:
            assert "Norm" in type(network.get_submodule(path)).__name__, key


@rows
def test_one_value_per_channel_at_the_bottleneck_is_refused_in_training(name: str) -> None:
    network = compact(name, 2).train()
    smallest = network.next_size([1, 1])
    if set(network.bottleneck_size(smallest)) != {1}:  # instance norm, or no padding
        assert network(torch.randn(1, CHANNELS, *smallest)) is not None
        return
    kinds = {type(module) for module in network.modules()}
    if torch.nn.BatchNorm2d not in kinds and name != "mednext":
        network(torch.randn(1, CHANNELS, *smallest))
        return
    with pytest.raises(InvalidValueError, match="one value per channel") as caught:
        network(torch.randn(1, CHANNELS, *smallest))
    larger = size_of(network)
    assert f"{larger[0]}x{larger[1]}" in caught.value.hint
    network(torch.randn(1, CHANNELS, *larger))
    network(torch.randn(2, CHANNELS, *smallest))


@rows
def test_the_smallest_size_works_in_evaluation(name: str) -> None:
    network = compact(name, 2).eval()
    with torch.no_grad():
        assert network(torch.randn(2, CHANNELS, *network.next_size([1, 1]))).isfinite().all()


@trained
def test_bf16_autocast_leaves_outputs_and_gradients_finite(name: str, dims: int) -> None:
    # oneDNN's 3D weight gradients are wrong where the first axis is shorter than the kernel
    longest = 6 if name == "vnet" else 3
    network = compact(name, dims).train()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(random_image(network, 1, longest=longest))
        heads = [output] if isinstance(output, Tensor) else output
        loss = torch.stack([head.float().square().mean() for head in heads]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(head.isfinite().all() for head in heads)
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@rows
def test_channels_last_gives_the_same_logits(name: str) -> None:
    network = compact(name, 2).eval()
    x = random_image(network, 1, longest=8)  # instance norm of a few voxels magnifies rounding
    with torch.no_grad():
        expected = network(x)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        logits = network(x.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(logits, expected, atol=1e-4 * float(expected.abs().max()))
