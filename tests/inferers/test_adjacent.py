"""Slices beside a slice as channels: the sweep and the validation's inferer see the same."""

import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from pipeline.inferers import window_inferer
from pipeline.inferers.adjacent import with_neighbours
from pipeline.inferers.layout import lay_tiles, lay_windows
from pipeline.inferers.sweep import Sweep
from tests.inferers.stub import Stub, conv


def swept(sweep: Sweep, shape: tuple[int, ...], classes: int) -> Tensor:
    found = torch.full((classes, *shape), torch.nan)
    for block in sweep.blocks():
        found[(slice(None), *block.where)] = block.logits
    return found


def test_each_channel_is_followed_by_its_neighbours_and_the_ends_are_repeated() -> None:
    image = torch.arange(4.0).view(1, 1, 1, 1, 4) + torch.tensor([0.0, 10.0]).view(1, 2, 1, 1, 1)
    seen = with_neighbours(image, 3, 4)
    assert seen.shape == (1, 6, 1, 1, 4)
    assert seen[0, :, 0, 0, 0].tolist() == [0, 0, 1, 10, 10, 11]
    assert seen[0, :, 0, 0, 2].tolist() == [1, 2, 3, 11, 12, 13]
    assert seen[0, :, 0, 0, 3].tolist() == [2, 3, 3, 12, 13, 13]


def test_one_slice_is_the_image_itself_and_meta_data_stay() -> None:
    image = MetaTensor(torch.rand(1, 1, 3, 3, 3), meta={"case": "a"})
    assert with_neighbours(image, 1, 2) is image
    more = with_neighbours(image, 5, 2)
    assert isinstance(more, MetaTensor)
    assert more.meta["case"] == "a"


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slices", [1, 3, 7])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_sweep_equals_the_inferer_bit_for_bit(axis: int, slices: int, channels: int) -> None:
    torch.manual_seed(axis)
    shape, patch = (11, 13, 6), (8, 4)
    image = torch.randn(channels, *shape)
    network = conv(2, channels * slices, 3)
    layout = lay_windows(shape, patch, 0.5, axis, slices)
    engine = Stub(network, batch=3)
    order = (axis, *(a for a in range(3) if a != axis))
    found = swept(Sweep(image, layout, engine, order), shape, 3)
    assert engine.seen[0] == (3, channels * slices, *patch)
    with torch.no_grad():
        wanted = window_inferer(patch, 0.5, axis, 3, slices=slices)(image[None], network)
    assert torch.equal(found, wanted[0])


@pytest.mark.parametrize("axis", [0, 2])
def test_tiles_of_an_unpadded_network_see_the_slices_beside_theirs(axis: int) -> None:
    torch.manual_seed(0)
    shape = (9, 10, 12)
    image = torch.randn(1, *shape)
    network = nn.Conv2d(3, 2, 3).eval()
    layout = lay_tiles(shape, (8, 8), (6, 6), flat=axis, slices=3)
    found = swept(Sweep(image, layout, Stub(network)), shape, 2)
    with torch.no_grad():
        wanted = window_inferer((8, 8), 0.0, axis, border=2, slices=3)(image[None], network)
    torch.testing.assert_close(found, wanted[0])
