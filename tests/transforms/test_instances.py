import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from pipeline.transforms.instances import ToInstancesd, ToSemanticd, instances, semantic


def touching() -> NDArray[np.int32]:
    numbers = np.zeros((8, 12), np.int32)
    numbers[1:5, 1:5], numbers[1:5, 5:9], numbers[6:8, 10:] = 7, 300, 12
    return numbers


def test_numbered_objects_become_one_class() -> None:
    out = ToSemanticd("label")({"label": torch.from_numpy(touching()[None])})["label"]
    assert out.dtype == torch.uint8
    assert out[0].numpy().tolist() == (touching() > 0).astype(int).tolist()


def test_with_a_gap_objects_that_touch_are_found_apart_again() -> None:
    numbers = touching()
    joined = ToInstancesd("label")({"label": torch.from_numpy(semantic(numbers)[None])})["label"]
    apart = ToInstancesd("label")(
        ToSemanticd("label", gap=True)({"label": torch.from_numpy(numbers[None])})
    )["label"]
    assert (int(joined.max()), int(apart.max())) == (2, 3)
    for number in (7, 300, 12):
        found = np.unique(apart[0].numpy()[numbers == number])
        assert len(found[found > 0]) == 1


def test_the_gap_is_no_wider_than_one_voxel_on_each_side() -> None:
    lost = semantic(touching()).astype(int) - semantic(touching(), gap=True)
    assert np.argwhere(lost).tolist() == [[row, c] for row in range(1, 5) for c in (4, 5)]


def test_components_are_numbered_by_class_then_by_place() -> None:
    classes = np.array([[2, 0, 1, 1], [2, 0, 0, 0], [0, 0, 1, 0]])
    assert instances(classes).tolist() == [[3, 0, 1, 1], [3, 0, 0, 0], [0, 0, 2, 0]]


def test_classes_that_touch_stay_apart() -> None:
    assert instances(np.array([[1, 2, 1]])).tolist() == [[1, 3, 2]]


@pytest.mark.parametrize(("diagonal", "count"), [(False, 2), (True, 1)])
def test_a_corner_connects_only_where_asked_for(diagonal: bool, count: int) -> None:
    corner = np.zeros((4, 4, 4), np.uint8)
    corner[1, 1, 1] = corner[2, 2, 2] = 1
    assert instances(corner, diagonal=diagonal).max() == count


def test_small_components_are_dropped_and_the_rest_numbered_without_a_hole() -> None:
    classes = np.array([[1, 0, 1, 1, 0, 1, 0, 1, 1]])
    assert instances(classes, min_voxels=2).tolist() == [[0, 0, 1, 1, 0, 0, 0, 2, 2]]


def test_more_than_255_objects_keep_their_numbers_and_the_affine_stays() -> None:
    classes = torch.zeros(1, 60, 60, 2, dtype=torch.uint8)
    classes[:, ::3, ::3] = 1
    affine = torch.diag(torch.tensor([2.0, 3, 4, 1]))
    out = ToInstancesd("label")({"label": MetaTensor(classes, affine=affine)})["label"]
    assert int(out.max()) == 400
    assert out.dtype == torch.int32
    assert isinstance(out, MetaTensor)
    assert torch.equal(out.affine, affine.to(out.affine))


def test_an_empty_map_has_no_objects() -> None:
    assert instances(np.zeros((3, 3), np.uint8)).max() == 0
    assert semantic(np.zeros((3, 3), np.int32), gap=True).max() == 0
