from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.errors import GeometryError
from pipeline.metrics import onto_grid, same_grid
from pipeline.metrics.grid import Affine


def affine(spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> Affine:
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = origin
    return matrix


def oblique(spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> Affine:
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.eye(4)
    turn[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    return np.asarray(turn @ affine(spacing, origin))


Mask = npt.NDArray[Any]


def slow(mask: Mask, source: Affine, shape: tuple[int, ...], target: Affine) -> Mask:
    """Each voxel's centre in mm, then the nearest centre of the mask."""
    result: Mask = np.zeros((*shape, *mask.shape[3:]), mask.dtype)
    for index in np.ndindex(*shape):
        place = target @ [*index, 1.0]
        near = np.rint(np.linalg.solve(source, place)[:3]).astype(int)
        if (near >= 0).all() and (near < mask.shape[:3]).all():
            result[index] = mask[tuple(near)]
    return result


@pytest.mark.parametrize("make", [affine, oblique])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_each_voxel_takes_the_value_of_the_nearest(
    make: Callable[..., Affine], channels: tuple[int, ...]
) -> None:
    mask = np.random.default_rng(0).integers(1, 5, (7, 6, 5, *channels)).astype(np.uint16)
    source = affine((2.0, 3.0, 4.0), (10.0, -5.0, 3.0))
    target = make((1.13, 1.31, 2.3), (7.3, -7.1, 1.7))
    shape = (15, 17, 12)
    moved = onto_grid(mask, source, shape, target)
    assert moved.dtype == np.uint16
    assert (moved == slow(mask, source, shape, target)).all()
    assert 0 < np.count_nonzero(moved) < moved.size


def test_a_flipped_and_permuted_grid_gives_back_every_voxel() -> None:
    mask = np.random.default_rng(1).integers(0, 9, (4, 5, 6)).astype(np.uint8)
    source = affine((1.0, 2.0, 3.0), (0.0, 0.0, 0.0))
    change = np.array([[0, -1, 0, 3], [1, 0, 0, 0], [0, 0, -1, 5], [0, 0, 0, 1.0]])
    moved = onto_grid(mask, source, (5, 4, 6), source @ change)
    assert (moved == mask[::-1, :, ::-1].transpose(1, 0, 2)).all()


def test_grids_are_the_same_within_a_thousandth_of_a_mm_at_every_corner() -> None:
    one = affine((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    assert same_grid((100, 100, 10), one, (100, 100, 10), affine((1, 1, 1), (0, 0, 9e-4)))
    assert not same_grid((100, 100, 10), one, (100, 100, 10), affine((1, 1, 1), (0, 0, 2e-3)))
    assert not same_grid((100, 100, 10), one, (100, 100, 10), affine((1.0001, 1, 1), (0, 0, 0)))
    assert not same_grid((100, 100, 10), one, (100, 100, 9), one)


def test_fields_that_do_not_overlap_are_refused() -> None:
    mask = np.ones((4, 4, 4), np.uint8)
    one = affine((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match="do not overlap"):
        onto_grid(mask, one, (4, 4, 4), affine((1, 1, 1), (4.0, 0, 0)))
    assert onto_grid(mask, one, (4, 4, 4), affine((1, 1, 1), (3.4, 0, 0))).sum() == 16
