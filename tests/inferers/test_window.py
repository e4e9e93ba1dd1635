from collections.abc import Callable

import pytest
import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor

from pipeline.inferers import window_inferer

Forward = Callable[[Tensor], Tensor]


@pytest.fixture
def network() -> Forward:
    """A convolution, as the smallest thing that knows its neighbours; two classes."""
    torch.manual_seed(0)
    layer = torch.nn.Conv3d(1, 2, 3, padding=1)

    def _network(x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.as_tensor(layer(x))

    return _network


def test_one_window_over_all_is_a_plain_forward(network: Forward) -> None:
    image = torch.randn(1, 1, 8, 12, 16)
    found = window_inferer((8, 12, 16))(image, network)
    assert isinstance(found, Tensor)
    assert torch.allclose(found, network(image), atol=1e-6)


def test_a_volume_smaller_than_the_window_repeats_its_edge_and_keeps_its_size(
    network: Forward,
) -> None:
    seen: list[Tensor] = []

    def _watched(x: Tensor) -> Tensor:
        seen.append(x)
        return network(x)

    image = torch.randn(1, 1, 5, 6, 16)
    found = window_inferer((8, 8, 8))(image, _watched)
    assert isinstance(found, Tensor)
    assert found.shape == (1, 2, 5, 6, 16)
    window = seen[0][0, 0]
    assert tuple(window.shape) == (8, 8, 8)
    assert set(window.flatten().tolist()) <= set(image.flatten().tolist())


def test_overlapping_windows_agree_where_the_network_is_local() -> None:
    image = torch.randn(1, 1, 20, 17, 9)
    found = window_inferer((8, 8, 8))(image, lambda x: 3 * x)
    assert isinstance(found, Tensor)
    assert torch.allclose(found, 3 * image, atol=1e-5)


def test_the_middle_of_a_window_counts_more_than_its_rim() -> None:
    def _place(x: Tensor) -> Tensor:
        """Each window's own index along the last axis."""
        return torch.arange(8.0).expand_as(x).clone()

    found = window_inferer((8, 8), overlap=0.5)(torch.zeros(1, 1, 8, 12), _place)
    assert isinstance(found, Tensor)
    row = found[0, 0, 4]
    # column 5 is next to the first window's rim (5) and near the second one's rim (1)
    assert float(row[0]) == pytest.approx(0)
    assert float(row[11]) == pytest.approx(7)
    assert row[5] > (5 + 1) / 2


def test_the_overlap_says_how_many_windows_there_are() -> None:
    count = {}
    for overlap in (0.0, 0.5):
        windows: list[int] = []

        def _count(x: Tensor, windows: list[int] = windows) -> Tensor:
            windows.append(len(x))
            return x

        window_inferer((8, 8, 8), overlap)(torch.zeros(1, 1, 32, 8, 8), _count)
        count[overlap] = sum(windows)
    assert count == {0.0: 4, 0.5: 7}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_2d_network_walks_through_the_slices_along_the_axis(axis: int) -> None:
    shapes: set[tuple[int, ...]] = set()

    def _slices(x: Tensor) -> Tensor:
        shapes.add(tuple(x.shape[1:]))
        return torch.cat([x, x.mean(dim=(2, 3), keepdim=True).expand_as(x)], dim=1)

    image = torch.randn(1, 1, 8, 8, 8)
    found = window_inferer((8, 8), slice_axis=axis)(image, _slices)
    assert isinstance(found, Tensor)
    assert shapes == {(1, 8, 8)}
    others = tuple(a + 2 for a in range(3) if a != axis)
    assert torch.allclose(found[:, :1], image, atol=1e-5)
    means = image.mean(dim=others, keepdim=True).expand_as(image)
    assert torch.allclose(found[:, 1:], means, atol=1e-5)


@pytest.mark.parametrize(
    ("patch", "axis", "batch"), [((8, 8, 8), None, 2), ((8, 8), None, 16), ((8, 8), 2, 16)]
)
def test_windows_go_forward_in_batches(
    patch: tuple[int, ...], axis: int | None, batch: int
) -> None:
    for given, expected in ((None, batch), (5, 5)):
        inferer = window_inferer(patch, slice_axis=axis, sw_batch_size=given)
        assert isinstance(inferer, SlidingWindowInferer)
        assert inferer.sw_batch_size == expected


class OnGpu(Tensor):
    """A tensor that says that it lies on a GPU."""

    is_cuda = True


@pytest.mark.parametrize(("patch", "axis"), [((8, 8, 8), None), ((8, 8), 2)])
def test_where_a_gpu_has_no_room_logits_are_put_together_without_it(
    patch: tuple[int, ...], axis: int | None
) -> None:
    left = [1]

    def _full(x: Tensor) -> Tensor:
        if left:
            left.pop()
            raise torch.OutOfMemoryError("no room")
        return 3 * x

    image = torch.randn(1, 1, 8, 9, 20)
    found = window_inferer(patch, slice_axis=axis)(image.as_subclass(OnGpu), _full)
    assert not left
    assert torch.allclose(torch.as_tensor(found), 3 * image, atol=1e-5)
