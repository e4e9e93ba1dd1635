"""To the network's grid and back, over random orientations, spacings and rotations."""

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.io import Volume, spacing_of
from pipeline.transforms.grid import RestoreGridd, ToGridd, index_maps, restore_grid
from pipeline.transforms.reader import metadata

Affine = NDArray[np.float64]
ORIENTATIONS = [
    np.eye(3)[list(order)] * signs
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def turn(x: float, y: float, z: float) -> NDArray[np.float64]:
    """Rotation about the three axes in turn, angles in radians."""
    result = np.eye(3)
    for axis, angle in enumerate((x, y, z)):
        a, b = (n for n in range(3) if n != axis)
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        result = one @ result
    return result


@st.composite
def affines(draw: st.DrawFn) -> Affine:
    """Any orientation, turned by up to 20 degrees about each axis, 0.5 to 6 mm voxels."""
    angles = [draw(st.sampled_from([0.0, 0.1, -0.35, 0.35])) for _ in range(3)]
    spacing = [draw(st.sampled_from([0.5, 0.9765625, 1.0, 2.2, 6.0])) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = turn(*angles) @ draw(st.sampled_from(ORIENTATIONS)) * spacing
    affine[:3, 3] = [draw(st.sampled_from([0.0, -120.5, 33.3])) for _ in range(3)]
    return affine


shapes = st.tuples(*[st.integers(3, 9)] * 3)
spacings = st.tuples(*[st.sampled_from([0.8, 1.0, 1.7, 3.0])] * 3)


def tensor(array: NDArray[Any], affine: Affine | None) -> MetaTensor:
    """The array as our reader hands it on."""
    meta = metadata(Volume(array, affine), "scan.nii.gz")
    own = torch.as_tensor(meta.pop("affine"))
    return MetaTensor(torch.from_numpy(array[None].copy()), affine=own, meta=meta)


def places(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """A map whose values tell the place of their voxel."""
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape)


def there_and_back(
    array: NDArray[Any], affine: Affine, spacing: tuple[float, ...] | None
) -> tuple[MetaTensor, NDArray[Any]]:
    image = np.zeros(array.shape, np.float32)
    case = {"image": tensor(image, affine), "label": tensor(array, affine)}
    case = ToGridd(["image", "label"], spacing=spacing)(case)  # type: ignore[arg-type, assignment]
    case["pred"] = case["label"].as_tensor()  # type: ignore[assignment]
    restored = RestoreGridd("pred")(case)["pred"]  # type: ignore[arg-type]
    return case["label"], np.asarray(restored)[0]


@given(affines(), shapes)
def test_every_voxel_comes_back_exactly_where_nothing_is_resampled(
    affine: Affine, shape: tuple[int, int, int]
) -> None:
    label = places(shape)
    moved, restored = there_and_back(label, affine, None)
    assert np.array_equal(restored, label)
    assert restored.dtype == label.dtype
    axes = np.asarray(moved.affine)[:3, :3] / spacing_of(np.asarray(moved.affine))
    assert np.all(np.diag(axes) > 0.5), "the network's axes run to R, A and S"


@settings(max_examples=60)
@given(affines(), shapes, spacings)
def test_every_voxel_comes_back_within_one_voxel_where_something_is_resampled(
    affine: Affine, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    label = places(shape)
    moved, restored = there_and_back(label, affine, spacing)
    assert spacing_of(np.asarray(moved.affine)) == pytest.approx(spacing, rel=2e-3)
    own = spacing_of(affine)
    order = np.abs(affine[:3, :3] / own).argmax(axis=0)
    limit = [max(spacing[world], mm) for world, mm in zip(order, own, strict=True)]
    found = np.stack(np.unravel_index(restored, shape))
    wanted = np.stack(np.unravel_index(label, shape))
    off = np.abs(found - wanted) * np.reshape(own, (3, 1, 1, 1))
    assert np.all(off <= np.reshape(limit, (3, 1, 1, 1)) * 1.001)


@settings(max_examples=60)
@given(affines(), shapes, st.none() | spacings)
def test_a_point_in_space_keeps_its_value(
    affine: Affine, shape: tuple[int, int, int], spacing: tuple[float, float, float] | None
) -> None:
    def value(matrix: Affine, size: tuple[int, ...]) -> NDArray[np.float64]:
        """A function of the place in mm that is linear, so that interpolation is exact."""
        index = np.stack([*np.meshgrid(*map(np.arange, size), indexing="ij"), np.ones(size)])
        return np.asarray(np.tensordot([0.3, -0.7, 1.1] @ matrix[:3], index, axes=1))

    image = tensor(value(affine, shape).astype(np.float32), affine)
    moved = ToGridd("image", spacing=spacing)({"image": image})["image"]
    matrix, size = np.asarray(moved.affine), tuple(moved.shape[1:])
    back = np.linalg.inv(affine) @ matrix
    index = np.stack([*np.meshgrid(*map(np.arange, size), indexing="ij"), np.ones(size)])
    source = np.tensordot(back[:3], index, axes=1)
    inside = np.all(
        (source >= 0) & (source <= np.reshape(shape, (3, 1, 1, 1)) - 1), axis=0
    )  # beyond the outermost centres the edge is repeated
    assume(inside.any())
    found = moved.numpy()[0]
    assert found[inside] == pytest.approx(value(matrix, size)[inside], abs=0.02)


@given(affines(), st.tuples(*[st.integers(5, 8)] * 3))
def test_outside_of_a_cropped_grid_lies_background(
    affine: Affine, shape: tuple[int, int, int]
) -> None:
    cropped = affine.copy()
    cropped[:3, 3] = (affine @ [2, 1, 0, 1])[:3]
    values = np.ones((1, shape[0] - 3, shape[1] - 2, shape[2]), np.uint8)
    wanted = np.zeros((1, *shape), np.uint8)
    wanted[0, 2:-1, 1:-1] = 1
    assert np.array_equal(restore_grid(values, cropped, affine, shape), wanted)


def test_the_edge_of_a_coarser_grid_reaches_the_last_voxels() -> None:
    # five voxels of 1 mm under two of 2 mm, whose centres lie at 0 and 2: 3 is near, 4 is not
    fine, coarse = np.eye(4), np.diag([2.0, 1, 1, 1])
    _, maps = index_maps(coarse, (2, 1, 1), fine, (5, 1, 1))
    assert maps[0].tolist() == [0, 0, 1, 1, -1]


def test_a_spacing_that_is_nearly_the_own_is_not_interpolated() -> None:
    affine = np.diag([1.0005, 1.0, 2.0, 1.0])
    label = places((4, 5, 6))
    moved, restored = there_and_back(label, affine, (1.0, 1.0, 2.0))
    assert np.array_equal(moved.numpy()[0], label)
    assert np.array_equal(restored, label)


def test_labels_keep_their_type_and_never_mix() -> None:
    label = np.zeros((6, 6, 6), np.uint8)
    label[3:] = 200
    moved, _ = there_and_back(label, np.eye(4), (0.7, 1.3, 2.0))
    assert moved.dtype == torch.uint8
    assert set(np.unique(moved.numpy())) == {0, 200}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_tilted_scan_is_seen_upright_and_its_labels_come_back_to_its_slices(
    order: tuple[int, ...],
) -> None:
    tilted = np.diag([1.0, 1.0, 2.0, 1.0])
    tilted[1, 2] = 1.0  # the gantry's tilt: each slice lies a voxel further to the front
    tilted[:3, :3] = tilted[:3, :3][list(order)]
    label = places((4, 5, 6))
    moved, restored = there_and_back(label, tilted, None)
    axes = np.asarray(moved.affine)[:3, :3] / spacing_of(np.asarray(moved.affine))
    assert axes == pytest.approx(np.eye(3)), "at right angles"
    assert sorted(moved.shape) == [1, 4, 6, 10], "all slices, each a voxel beside the last"
    assert np.array_equal(restored, label)


def test_a_tilted_scan_resampled_shows_each_point_at_its_place() -> None:
    tilted = np.diag([1.0, 0.5, 3.0, 1.0])
    tilted[:3, 3] = (5.0, -7.0, 11.0)
    tilted[1, 2] = -0.8
    index = np.stack(
        [*np.meshgrid(*map(np.arange, (9, 40, 12)), indexing="ij"), np.ones((9, 40, 12))]
    )
    ramp = np.tensordot([0.3, -0.7, 1.1] @ tilted[:3], index, axes=1)
    image = tensor(ramp.astype(np.float32), tilted)
    moved = ToGridd("image", spacing=(1.3, 0.7, 1.9))({"image": image})["image"]
    matrix, size = np.asarray(moved.affine), tuple(moved.shape[1:])
    index = np.stack([*np.meshgrid(*map(np.arange, size), indexing="ij"), np.ones(size)])
    source = np.tensordot((np.linalg.inv(tilted) @ matrix)[:3], index, axes=1)
    inside = np.all((source >= 0) & (source <= np.reshape((8, 39, 11), (3, 1, 1, 1))), axis=0)
    wanted = np.tensordot([0.3, -0.7, 1.1] @ matrix[:3], index, axes=1)
    assert inside.mean() > 0.5
    assert moved.numpy()[0][inside] == pytest.approx(wanted[inside], abs=0.02)


def test_values_come_back_in_the_order_of_files() -> None:
    restored = restore_grid(np.ones((3, 4, 5), np.uint8), np.eye(4), np.eye(4), (3, 4, 5))
    assert restored.flags.f_contiguous


def test_leading_axes_of_values_stay_leading() -> None:
    values = np.random.default_rng(0).random((2, 3, 4, 5, 6)).astype(np.float32)
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 3
    restored = restore_grid(values, np.eye(4), flipped, (4, 5, 6))
    assert np.array_equal(restored, values[:, :, ::-1])


def test_pictures_pass_as_they_are() -> None:
    picture = tensor(np.arange(12, dtype=np.float32).reshape(3, 4), None)
    case = {"image": picture, "pred": picture}
    assert ToGridd("image", spacing=(2, 2, 2))(case)["image"] is picture  # type: ignore[arg-type]
    assert np.array_equal(RestoreGridd("pred")(case)["pred"], picture.numpy())  # type: ignore[arg-type]


def test_a_grid_that_is_turned_against_the_scans_is_refused() -> None:
    turned = np.eye(4)
    turned[:3, :3] = turn(0, 0, 0.3)
    with pytest.raises(GeometryError, match="turned against"):
        restore_grid(np.zeros((1, 3, 3, 3)), np.eye(4), turned, (3, 3, 3))


def test_the_input_is_left_as_it_was() -> None:
    case = {"image": tensor(places((3, 4, 5)).astype(np.float32), np.diag([-1.0, 1, 2, 1]))}
    before = case["image"].numpy().copy()
    ToGridd("image", spacing=(2.0, 2.0, 2.0))(case)  # type: ignore[arg-type]
    assert np.array_equal(case["image"].numpy(), before)
    assert tuple(case["image"].shape) == (1, 3, 4, 5)


def test_keys_that_a_case_lacks_are_skipped_only_if_allowed() -> None:
    case = {"image": tensor(places((3, 3, 3)).astype(np.float32), np.eye(4))}
    both = ["image", "label"]
    assert set(ToGridd(both, allow_missing_keys=True)(case)) == {"image"}  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="label"):
        ToGridd(both)(case)  # type: ignore[arg-type]
