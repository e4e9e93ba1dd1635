"""Tiles of networks that lose their border: every voxel is computed with its whole context."""

import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor
from torch.nn import functional

from pipeline.inferers import window_inferer
from pipeline.inferers.overlap_tile import OverlapTileInferer
from pipeline.networks import build_network

BORDER = 4


class Trimming(torch.nn.Module):
    """A convolution of five voxels without padding: its logits lack two on each side."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = torch.randn(2, 1, *[5] * dims)
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(tuple(x.shape))
        conv = functional.conv2d if x.ndim == 4 else functional.conv3d
        return conv(x, self.weight)


@pytest.mark.parametrize(
    ("size", "patch"),
    [((1, 13, 17), (9, 10)), ((1, 3, 17), (12, 8)), ((1, 7, 11, 9), (8, 9, 10))],
)
def test_tiles_give_what_one_mirrored_image_gives(
    size: tuple[int, ...], patch: tuple[int, ...]
) -> None:
    network = Trimming(len(patch))
    images = torch.randn(2, *size)
    found = OverlapTileInferer(patch, BORDER, batch=2)(images, network)
    mirrored = functional.pad(images, [BORDER // 2] * (2 * len(patch)), mode="reflect")
    assert torch.allclose(found, network(mirrored), atol=1e-5)
    assert {s[2:] for s in network.sizes[:-1]} == {patch}
    assert max(s[0] for s in network.sizes[:-1]) <= 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_2d_network_walks_through_a_volume(axis: int) -> None:
    network = Trimming(2)
    volume = torch.randn(1, 1, 6, 7, 8)
    found = OverlapTileInferer((8, 9), BORDER, slice_axis=axis, batch=3)(volume, network)
    for index in range(volume.shape[axis + 2]):
        plane = volume.select(axis + 2, index)
        expected = network(functional.pad(plane, [2, 2, 2, 2], mode="reflect"))
        assert torch.allclose(found.select(axis + 2, index), expected, atol=1e-5)


def test_meta_data_stay() -> None:
    image = MetaTensor(torch.randn(1, 1, 9, 9), meta={"case": "a"})
    found = OverlapTileInferer((9, 9), BORDER)(image, Trimming(2))
    assert isinstance(found, MetaTensor)
    assert found.meta["case"] == "a"


def test_the_first_unet_segments_an_image_smaller_than_its_border() -> None:
    network = build_network("unet_valid", 2, 1, 3, widths=(2, 2, 2, 2, 2)).eval()
    inferer = window_inferer((204, 204), border=network.border)
    assert isinstance(inferer, OverlapTileInferer)
    with torch.no_grad():
        assert inferer(torch.randn(1, 1, 30, 25), network).shape == (1, 3, 30, 25)


def test_where_tiles_overlap_the_mean_is_taken() -> None:
    """Their pooling may stand at other offsets, so that they need not agree."""
    drawn = iter([torch.full((1, 1, 4, 4), value) for value in (2.0, 4.0)])
    found = OverlapTileInferer((8, 8), 4)(torch.zeros(1, 1, 4, 6), lambda _: next(drawn))
    assert found[0, 0, 0].tolist() == [2, 2, 3, 3, 4, 4]


def test_logits_of_half_precision_are_summed_in_full() -> None:
    third = torch.full((1, 1, 4, 4), 1 / 3, dtype=torch.bfloat16)
    found = OverlapTileInferer((8, 8), 4)(torch.zeros(1, 1, 4, 7), lambda _: third)
    assert found.dtype == torch.float32
    assert torch.equal(found, third.float()[..., :1].expand(1, 1, 4, 7))


class OnGpu(Tensor):
    """A tensor that says that it lies on a GPU."""

    is_cuda = True


def test_where_a_gpu_has_no_room_logits_are_put_together_without_it() -> None:
    left, network = [1, 1], Trimming(2)

    def full(x: Tensor) -> Tensor:
        if left:
            left.pop()
            raise torch.OutOfMemoryError("no room")
        return torch.as_tensor(network(x))

    images = torch.randn(2, 1, 9, 10)
    inferer = OverlapTileInferer((9, 10), BORDER)
    with pytest.raises(torch.OutOfMemoryError):
        inferer(images, full)
    found = inferer(images.as_subclass(OnGpu), full)
    assert not left
    assert torch.equal(torch.as_tensor(found), inferer(images, network))
