"""The articles' four initialisations reach every layer, in 2D and 3D alike."""

import math

import pytest
import torch
from torch import nn

from pipeline.networks import NETWORKS, build_network, preset_options
from pipeline.networks.initialisation import METHODS, initialise

both_axes = pytest.mark.parametrize("dims", [2, 3])


def conv_of(dims: int) -> nn.Conv2d | nn.Conv3d:
    return nn.Conv2d(64, 128, 3) if dims == 2 else nn.Conv3d(64, 128, 3)


@both_axes
@pytest.mark.parametrize("method", METHODS)
def test_the_spread_of_the_weights_is_the_method_s(method: str, dims: int) -> None:
    torch.manual_seed(0)
    conv = conv_of(dims)
    initialise(conv, method)
    voxels = 3**dims
    expected = {
        "normal": 0.02,
        "xavier": math.sqrt(2 / ((64 + 128) * voxels)),
        "kaiming": math.sqrt(2 / (64 * voxels)),
        "orthogonal": 1 / math.sqrt(64 * voxels),
    }[method]
    assert conv.weight.std().item() == pytest.approx(expected, rel=0.03)
    assert conv.bias is not None
    assert not conv.bias.any()


@both_axes
def test_orthogonal_rows_are_of_length_one(dims: int) -> None:
    conv = conv_of(dims)
    initialise(conv, "orthogonal")
    rows = conv.weight.flatten(1)
    assert torch.allclose(rows @ rows.T, torch.eye(128), atol=1e-4)


@both_axes
@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_and_norm_of_a_network_is_drawn_anew(name: str, dims: int) -> None:
    options = preset_options(name, "compact", dims)
    torch.manual_seed(0)
    network = build_network(name, dims, 1, 2, **options)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    initialise(network, "kaiming")
    kept = tuple(
        path for path, module in network.named_modules() if hasattr(module, "own_initialisation")
    )
    for key, value in network.named_parameters():
        owner = network.get_submodule(key.rpartition(".")[0])
        drawn = isinstance(owner, nn.modules.conv._ConvNd | nn.modules.batchnorm._NormBase)
        if drawn and value.ndim > 1 and not key.startswith(kept or ("-",)):
            assert not torch.equal(value, before[key]), key


def test_what_a_paper_prescribes_is_kept() -> None:
    network = build_network("crunet", 3, 1, 2, widths=(4, 6, 8), initialisation="normal")
    recurrent = network.get_parameter("sweeps.1.axes.0.weight_hh_l0")
    assert torch.equal(recurrent, torch.eye(6))
    lstm = build_network("bcdunet", 2, 1, 2, widths=(4, 6, 8, 10), initialisation="xavier")
    assert (lstm.get_parameter("merges.0.up_first.input.bias")[2:4] == 1).all()


def test_the_option_of_build_network_initialises() -> None:
    torch.manual_seed(0)
    network = build_network("unet", 2, 1, 2, widths=(64, 64, 64), initialisation="normal")
    assert network.get_parameter("encoder.1.0.weight").std().item() == pytest.approx(0.02, rel=0.05)
