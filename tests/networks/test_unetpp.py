"""UNet++ in its accurate and fast modes, and pruned."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import InvalidValueError
from pipeline.networks.nested import NestedUNet
from pipeline.networks.unetpp import UNetPP
from pipeline.networks.unetpp_zhou import UNetPPZhou

WIDTHS = (4, 6, 8, 10, 12)
both = pytest.mark.parametrize("kind", [UNetPP, UNetPPZhou])


def network_of(kind: type[NestedUNet], dims: int = 2, classes: int = 3) -> NestedUNet:
    torch.manual_seed(0)
    network = kind(dims, 1, classes, widths=WIDTHS, deep_supervision=True)  # type: ignore[call-arg, arg-type]
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def heads_of(network: NestedUNet, x: Tensor) -> list[Tensor]:
    """All heads by the same weights, best first."""
    found = []
    for level in (4, 3, 2, 1):
        network.set_mode("fast", level)
        found.append(network(x))
    network.set_mode("fast")
    return found


@both
def test_the_fast_mode_returns_the_head_of_its_level(kind: type[NestedUNet]) -> None:
    network, x = network_of(kind), torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        fast = heads_of(network, x)
        network.train()
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.Dropout):
                module.eval()
        for head, expected in zip(network(x), fast, strict=True):
            assert torch.allclose(head, expected, atol=1e-6)


@both
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_the_fast_mode_computes_only_the_nodes_it_needs(kind: type[NestedUNet], level: int) -> None:
    network, visited = network_of(kind), set[str]()
    for name, node in network.nodes.items():
        node.register_forward_hook(lambda *_, name=name: visited.add(name))
    network.set_mode("fast", level)
    network(torch.zeros(1, 1, 16, 16))
    assert visited == {f"{i}_{j}" for i in range(level + 1) for j in range(level + 1 - i)}


@pytest.mark.parametrize("classes", [1, 3])
def test_the_accurate_mode_averages_the_probabilities_of_the_heads(classes: int) -> None:
    network, x = network_of(UNetPP, classes=classes), torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        heads = torch.stack(heads_of(network, x))
        network.set_mode("accurate")
        logits = network(x)
    if classes == 1:
        assert torch.allclose(logits.sigmoid(), heads.sigmoid().mean(0), atol=1e-5)
    else:
        assert torch.allclose(logits.softmax(1), heads.softmax(2).mean(0), atol=1e-5)


def test_the_accurate_mode_can_average_sigmoids_of_several_regions() -> None:
    torch.manual_seed(0)
    network = UNetPP(2, 1, 3, widths=WIDTHS, deep_supervision=True, activation="sigmoid").eval()
    x = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        heads = torch.stack(heads_of(network, x))
        network.set_mode("accurate")
        assert torch.allclose(network(x).sigmoid(), heads.sigmoid().mean(0), atol=1e-5)


def test_the_accurate_mode_stays_finite_where_all_heads_are_certain() -> None:
    network = network_of(UNetPP, classes=1)
    network.set_mode("accurate")
    with torch.no_grad():
        for head in network.output_heads.values():
            nn.init.constant_(head.get_parameter("bias"), 1000.0)
    assert network(torch.zeros(1, 1, 16, 16)).isfinite().all()


@both
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_a_pruned_network_equals_the_head_with_a_strict_subset_of_the_tensors(
    kind: type[NestedUNet], dims: int, level: int
) -> None:
    network, x = network_of(kind, dims), torch.randn(1, 1, *[16] * dims)
    pruned = network.prune(level)
    network.set_mode("fast", level)
    whole, part = network.state_dict(), pruned.state_dict()
    assert part.keys() < whole.keys()
    assert all(torch.equal(part[key], whole[key]) for key in part)
    assert pruned.divisor == 2**level
    assert not pruned.training
    with torch.no_grad():
        assert torch.equal(pruned(x), network(x))


def test_a_pruned_network_shares_no_memory_and_can_be_built_from_its_options() -> None:
    network = network_of(UNetPP)
    pruned = network.prune(2)
    again = UNetPP(2, 1, 3, widths=WIDTHS, prune=2)
    again.load_state_dict(pruned.state_dict())
    before = pruned.state_dict()["nodes.0_0.0.weight"].clone()
    nn.init.zeros_(network.get_parameter("nodes.0_0.0.weight"))
    assert torch.equal(pruned.state_dict()["nodes.0_0.0.weight"], before)


def test_a_head_that_is_not_there_can_be_neither_kept_nor_chosen() -> None:
    network = UNetPP(2, 1, 1, widths=WIDTHS)
    with pytest.raises(InvalidValueError, match="there is no head 2"):
        network.prune(2)
    with pytest.raises(InvalidValueError, match="level 2"):
        network.set_mode("fast", 2)
    with pytest.raises(InvalidValueError, match="level is 0"):
        network.prune(0)
