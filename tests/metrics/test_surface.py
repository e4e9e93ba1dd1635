import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from monai.metrics.utils import get_mask_edges

from pipeline.metrics.surface import (
    Mask,
    boundary,
    hausdorff_95,
    surface_dice,
    surface_distances,
)

SHAPES = [(9, 8, 7), (14, 11)]
# MONAI warns of an argument that it passes to itself
monai_own = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")

PAIRS = [((9, 8, 7), (0.7, 1.3, 3.0)), ((14, 11), (0.5, 2.0))]


def blob(shape: tuple[int, ...], seed: int) -> Mask:
    """A few boxes, some of them cut off by the image."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, np.bool_)
    for _ in range(3):
        low = [int(rng.integers(0, n - 1)) for n in shape]
        mask[tuple(slice(a, a + int(rng.integers(1, 6))) for a in low)] = True
    return mask


def slow_boundary(mask: Mask) -> Mask:
    """Voxel by voxel: is any face neighbour outside the mask or the image?"""
    edge = np.zeros_like(mask)
    for index in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                near = index.copy()
                near[axis] += step
                if not 0 <= near[axis] < mask.shape[axis] or not mask[tuple(near)]:
                    edge[tuple(index)] = True
    return edge


def slow_distances(one: Mask, other: Mask, spacing: tuple[float, ...]) -> list[float]:
    """Every surface voxel of one against every one of the other."""
    far = np.argwhere(slow_boundary(other)) * spacing
    points = np.argwhere(slow_boundary(one)) * spacing
    return sorted(float(np.sqrt(((far - point) ** 2).sum(1)).min()) for point in points)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_boundary_is_what_has_a_face_neighbour_outside(shape: tuple[int, ...], seed: int) -> None:
    mask = blob(shape, seed)
    before = mask.copy()
    assert (boundary(mask) == slow_boundary(mask)).all()
    assert (mask == before).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_boundary_is_that_of_monai(shape: tuple[int, ...]) -> None:
    mask = blob(shape, 5)
    edges = get_mask_edges(torch.as_tensor(mask), torch.as_tensor(mask), crop=False)[0]
    assert (boundary(mask) == np.asarray(edges)).all()


@pytest.mark.parametrize(("shape", "spacing"), PAIRS)
@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_all_pairs(
    shape: tuple[int, ...], spacing: tuple[float, ...], seed: int
) -> None:
    one, other = blob(shape, seed), blob(shape, seed + 10)
    there, back = surface_distances(one, other, spacing)
    assert sorted(there) == pytest.approx(slow_distances(one, other, spacing))
    assert sorted(back) == pytest.approx(slow_distances(other, one, spacing))


@monai_own
@pytest.mark.parametrize(("shape", "spacing"), PAIRS)
@pytest.mark.parametrize("seed", range(4))
def test_hausdorff_95_and_surface_dice_are_those_of_monai(
    shape: tuple[int, ...], spacing: tuple[float, ...], seed: int
) -> None:
    one, other = blob(shape, seed), blob(shape, seed + 10)
    there, back = surface_distances(one, other, spacing)
    y_pred, y = (torch.as_tensor(mask)[None, None].float() for mask in (one, other))
    theirs = compute_hausdorff_distance(
        y_pred, y, include_background=True, percentile=95, spacing=spacing
    )
    assert hausdorff_95(there, back) == pytest.approx(theirs.item(), rel=1e-5)
    near = compute_surface_dice(y_pred, y, [1.5], include_background=True, spacing=spacing)
    assert surface_dice(there, back, 1.5) == pytest.approx(near.item(), rel=1e-5)


def test_two_parallel_plates_are_their_distance_apart() -> None:
    one, other = np.zeros((2, 10, 5, 5), np.bool_)
    one[2], other[6] = True, True
    there, back = surface_distances(one, other, (2.5, 1, 1))
    assert hausdorff_95(there, back) == pytest.approx(10.0)
    assert surface_dice(there, back, 9.9) == 0.0
    assert surface_dice(there, back, 10.0) == 1.0


def test_hausdorff_95_is_the_larger_direction() -> None:
    one, other = np.zeros((2, 40, 3), np.bool_)
    one[:4], other[:20] = True, True
    there, back = surface_distances(one, other, (1.0, 1.0))
    assert hausdorff_95(there, back) == hausdorff_95(back, there)
    assert hausdorff_95(there, back) == pytest.approx(np.percentile(back, 95))
    assert np.percentile(there, 95) < np.percentile(back, 95)


def test_a_distance_of_the_tolerance_is_within_it_whatever_the_last_bit() -> None:
    one, other = np.zeros((2, 30, 3), np.bool_)
    one[0], other[3] = True, True
    assert 3 * 0.1 > 0.3
    for step in (0.1, 0.7):
        there, back = surface_distances(one, other, (step, 1.0))
        assert surface_dice(there, back, round(3 * step, 1)) == 1.0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_equal_masks_are_at_0_and_exchange_exchanges_the_directions(a: int, b: int) -> None:
    one, other = blob((6, 5, 4), a), blob((6, 5, 4), b)
    there, back = surface_distances(one, one, (1, 2, 3))
    assert not there.any()
    assert not back.any()
    forth = surface_distances(one, other, (1, 2, 3))
    again = surface_distances(other, one, (1, 2, 3))
    assert np.array_equal(forth[0], again[1])
    assert np.array_equal(forth[1], again[0])
