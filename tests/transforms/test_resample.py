"""The fast way to the network's grid against MONAI's own transforms."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Orientation, Spacing
from numpy.typing import NDArray

from pipeline.transforms.axes import ras_grid, upright_grid
from pipeline.transforms.grid import ToGridd
from pipeline.transforms.resample import Line, linear, nearest

Affine = NDArray[np.float64]
TURNS = [
    np.eye(3)[list(order)] * signs
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]
HU = 1e-3

sizes = st.tuples(*[st.integers(1, 24)] * 3)
owns = st.tuples(*[st.sampled_from([0.5, 0.75, 0.8, 0.9765625, 1.0, 2.0, 2.5, 5.0])] * 3)
targets = st.tuples(*[st.sampled_from([0.7, 1.0, 1.5, 1.9, 3.0, 4.0])] * 3)


def monai(volume: MetaTensor, spacing: tuple[float, ...], mode: str = "bilinear") -> MetaTensor:
    """What MONAI's own transforms make of a volume."""
    resample = Spacing(pixdim=spacing, mode=mode, padding_mode="border")
    found = resample(Orientation("RAS", labels=None)(volume))
    assert isinstance(found, MetaTensor)
    return found


def scan(shape: tuple[int, ...], affine: Affine, seed: int = 0) -> MetaTensor:
    """Values of a CT at random, next to each other as far apart as they can be."""
    values = np.random.default_rng(seed).integers(-1024, 3071, (1, *shape)).astype(np.float32)
    return MetaTensor(torch.from_numpy(values), affine=torch.as_tensor(affine))


@settings(max_examples=80)
@given(sizes, owns, targets, st.sampled_from(TURNS), st.integers(0, 9))
def test_values_size_and_place_equal_monais_over_shapes_spacings_and_orientations(
    shape: tuple[int, ...],
    own: tuple[float, ...],
    spacing: tuple[float, ...],
    turn: NDArray[np.float64],
    seed: int,
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = turn * own
    affine[:3, 3] = (-120.5, 33.0, 7.0)
    volume = scan(shape, affine, seed)
    wanted = monai(volume, spacing)
    found = ToGridd("image", spacing=spacing)({"image": volume})["image"]
    assert tuple(found.shape) == tuple(wanted.shape)
    assert np.asarray(found.affine) == pytest.approx(np.asarray(wanted.affine), abs=1e-9)
    assert np.abs(found.numpy() - wanted.numpy()).max() <= HU


@pytest.mark.parametrize(
    ("count", "own", "spacing", "size"),
    [
        (20, 0.75, 1.5, 10),  # 9.5 + 1 = 10.5: to even, where 9.5 rounded first would give 11
        (22, 0.75, 1.5, 12),  # 10.5 + 1 = 11.5
        (2, 1.0, 2.0, 2),  # 0.5 + 1 = 1.5: the second voxel lies beyond the last one
        (512, 0.8, 1.5, 274),
        (1, 1.0, 3.0, 1),
    ],
)
def test_a_size_is_rounded_half_to_even_after_one_is_added(
    count: int, own: float, spacing: float, size: int
) -> None:
    grid = ras_grid(np.diag([own, 1.0, 1.0, 1.0]), (count, 3, 3), (spacing, 1.0, 1.0))
    assert grid.shape == (size, 3, 3)
    volume = scan((count, 3, 3), np.diag([own, 1.0, 1.0, 1.0]))
    assert tuple(monai(volume, (spacing, 1.0, 1.0)).shape) == (1, size, 3, 3)


def test_beyond_the_last_voxel_the_edge_is_repeated() -> None:
    line = Line.at(np.array([0.0, 1.5, 2.25]), 3)
    assert line.low.tolist() == [0, 1, 2]
    assert line.high.tolist() == [1, 2, 2]
    assert line.share.tolist() == [0, 0.5, 0]
    assert line.nearest.tolist() == [0, 2, 2]
    array = np.array([0.0, 10.0, 30.0]).reshape(3, 1, 1)
    point = Line.at(np.zeros(1), 1)
    assert linear(array, (line, point, point), (0, 1, 2)).ravel().tolist() == [0, 20, 30]


@settings(max_examples=40)
@given(sizes, owns, targets, st.sampled_from(TURNS))
def test_labels_equal_monais_but_for_ties(
    shape: tuple[int, ...],
    own: tuple[float, ...],
    spacing: tuple[float, ...],
    turn: NDArray[np.float64],
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = turn * own
    grid = ras_grid(affine, shape, spacing)
    shares = np.concatenate([line.share for line in grid.lines])
    assume(bool(np.all(np.abs(shares - 0.5) > 1e-6)))
    volume = scan(shape, affine)
    found = ToGridd("label", spacing=spacing)({"label": volume.to(torch.int32)})["label"]
    assert np.array_equal(found.numpy(), monai(volume, spacing, "nearest").numpy())
    assert found.dtype == torch.int32


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("spacing", [None, (1.5, 0.7, 2.0)])
def test_type_and_layout_of_the_memory_change_no_bit(
    kind: type[np.generic], spacing: tuple[float, ...] | None
) -> None:
    values = np.random.default_rng(1).integers(0, 255, (1, 9, 10, 35)).astype(kind)
    affine = torch.diag(torch.tensor([-1.0, 1.0, 1.2, 1.0], dtype=torch.float64))
    turned = np.asarray(values[0], order="F")[None]
    assert turned.strides != values.strides
    to_grid = ToGridd("image", spacing=spacing)
    wanted, found = (
        to_grid({"image": MetaTensor(torch.from_numpy(array), affine=affine)})["image"]
        for array in (values.astype(np.float32), turned)
    )
    assert np.array_equal(wanted.numpy(), found.numpy())
    assert found.dtype == torch.float32
    assert found.as_tensor().is_contiguous()


def test_axes_are_permuted_as_told() -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    maps = [np.arange(size) for size in array.shape]
    moved = nearest(array, maps, (2, 0, 1))
    assert np.array_equal(moved, array.transpose(1, 2, 0))
    assert moved.dtype == np.int16
    lines = [Line.at(np.arange(size, dtype=np.float64), size) for size in array.shape]
    assert np.array_equal(linear(array, lines, (2, 0, 1)), array.transpose(1, 2, 0))


def test_each_channel_is_resampled_by_itself() -> None:
    volume = torch.cat([scan((6, 7, 8), np.eye(4), seed) for seed in (1, 2)])
    assert isinstance(volume, MetaTensor)
    to_grid = ToGridd("image", spacing=(1.5, 0.7, 2.0))
    both = to_grid({"image": volume})["image"]
    for channel in (0, 1):
        alone = to_grid({"image": volume[channel : channel + 1]})["image"]
        assert np.array_equal(both[channel : channel + 1].numpy(), alone.numpy())


def test_a_sheared_scan_gets_the_normal_of_its_slices() -> None:
    tilted = np.diag([1.0, 1.0, 2.0, 1.0])
    tilted[1, 2] = 1.0  # a voxel's shift from slice to slice
    affine, shape = upright_grid(tilted, (4, 5, 6), None, across=2)
    assert affine[:3, :3] == pytest.approx(np.diag([1.0, 1.0, 2.0]))
    assert shape == (4, 10, 6), "five rows, and five steps of one"
    affine, shape = upright_grid(tilted, (4, 5, 6), (2.0, 0.5, 1.0), across=2)
    assert affine[:3, :3] == pytest.approx(np.diag([2.0, 0.5, 1.0]))
    assert shape == (2, 19, 11)
