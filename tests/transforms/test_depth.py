from collections.abc import Hashable

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from pipeline.transforms.depth import DepthRanged, depth_range

AFFINE = torch.diag(torch.tensor([2.0, 3.0, 5.0, 1.0], dtype=torch.float64))


def case(first: int = 4, last: int = 6, slices: int = 12) -> dict[Hashable, MetaTensor]:
    label = torch.zeros(1, 5, 6, slices, dtype=torch.uint8)
    label[0, 2, 3, first] = 1
    label[0, 1, 1, last] = 2
    image = torch.rand(2, 5, 6, slices)
    return {k: MetaTensor(v, affine=AFFINE) for k, v in {"image": image, "label": label}.items()}


@pytest.mark.parametrize(("margin", "kept"), [(0, (4, 7)), (2, (2, 9)), (99, (0, 12))])
def test_slices_from_the_labels_first_to_its_last_stay_and_a_margin(
    margin: int, kept: tuple[int, int]
) -> None:
    given = case()
    out = DepthRanged(["image", "label"], margin=margin)(given)
    start, stop = kept
    for key in ("image", "label"):
        assert torch.equal(out[key].as_tensor(), given[key].as_tensor()[..., start:stop])
        assert out[key].affine[:3, 3].tolist() == [0, 0, 5.0 * start]


def test_the_inverse_puts_the_slices_back_in_their_place() -> None:
    given = case()
    cut = DepthRanged(["image", "label"], margin=1)
    back = cut.inverse(cut(given))
    for key in ("image", "label"):
        assert back[key].shape == given[key].shape
        assert torch.equal(back[key].affine, given[key].affine)
        assert torch.equal(back[key].as_tensor()[..., 3:8], given[key].as_tensor()[..., 3:8])
        assert back[key].as_tensor()[..., :3].abs().max() == 0
        assert back[key].as_tensor()[..., 8:].abs().max() == 0


def test_an_empty_label_leaves_the_case_whole() -> None:
    given = case()
    given["label"][...] = 0
    assert DepthRanged(["image", "label"])(given)["image"].shape == (2, 5, 6, 12)


def test_overlapping_regions_count_together_and_another_axis_may_be_asked_for() -> None:
    regions = torch.zeros(2, 9, 4, 4)
    regions[0, 2], regions[1, 5] = 1, 1
    out = DepthRanged("image", axis=0)({"image": torch.rand(1, 9, 4, 4), "label": regions})
    assert out["image"].shape == (1, 4, 4, 4)


def test_a_pictures_rows_have_a_range_too() -> None:
    assert depth_range(np.eye(5, k=2), axis=0) == (0, 3)
    assert depth_range(np.eye(5, k=2), axis=1) == (2, 5)
