from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.transforms.patches import (
    INDICES_PER_CLASS,
    BalancedCropd,
    ClassIndicesd,
    CropBorderd,
    PadToPatchd,
    with_slice,
)

Case = dict[Hashable, Any]


def volume(*shape: int) -> torch.Tensor:
    return torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(1, *shape)


def one_voxel_each(classes: int) -> Case:
    """A volume of 12 voxels a side; class c has one voxel, at (c, c, c)."""
    label = torch.zeros(1, 12, 12, 12, dtype=torch.uint8)
    for c in range(1, classes + 1):
        label[0, c + 3, c + 3, c + 3] = c
    case: Case = {"image": volume(12, 12, 12), "label": label}
    return ClassIndicesd("label", classes)(case)


def test_small_volumes_are_padded_at_the_upper_ends_by_their_edge() -> None:
    case: Case = {"image": volume(2, 5, 3), "label": volume(2, 5, 3).to(torch.uint8)}
    out = PadToPatchd(["image", "label"], (4, 4, 4))(case)
    for key in ("image", "label"):
        padded = out[key].numpy()
        assert padded.shape == (1, 4, 5, 4)
        assert np.array_equal(
            padded[0], np.pad(case[key].numpy()[0], ((0, 2), (0, 0), (0, 1)), "edge")
        )
        assert padded.dtype == case[key].numpy().dtype


def test_large_volumes_are_not_touched() -> None:
    case: Case = {"image": volume(8, 8, 8)}
    assert PadToPatchd("image", (8, 4, 8))(case)["image"] is case["image"]


def test_the_slice_axis_is_not_padded() -> None:
    case: Case = {"image": volume(3, 1, 3)}
    out = PadToPatchd("image", (4, 6), slice_axis=1)(case)
    assert tuple(out["image"].shape) == (1, 4, 1, 6)
    assert with_slice((4, 6), 1) == [4, 1, 6]
    assert with_slice((4, 6), None) == [4, 6]


def test_indices_say_where_each_class_lies() -> None:
    case: Case = {"label": torch.tensor([[[0, 2, 1], [2, 0, 0]]])}
    found = ClassIndicesd("label", 3)(case)["indices"]
    assert [f.tolist() for f in found] == [[2], [1, 3], []]


def test_indices_of_regions_may_overlap() -> None:
    case: Case = {"label": torch.tensor([[[0, 1, 1]], [[0, 1, 0]]])}
    found = ClassIndicesd("label", 2, head="sigmoid")(case)["indices"]
    assert [f.tolist() for f in found] == [[1, 2], [1]]


def test_a_large_class_is_spread_over_a_bounded_number_of_indices() -> None:
    case: Case = {"label": torch.ones(1, 50, 50, 20, dtype=torch.uint8)}
    found = ClassIndicesd("label", 1)(case)["indices"][0]
    assert INDICES_PER_CLASS / 2 <= len(found) <= INDICES_PER_CLASS
    assert len(set(np.diff(found))) == 1
    assert found[-1] > 50 * 50 * 20 - 10


def test_a_patch_is_centred_on_each_class_as_often_as_asked() -> None:
    case = one_voxel_each(2)
    crop = BalancedCropd("label", (3, 3, 3), sampling=(0.0, 0.2, 0.8))
    crop.set_random_state(0)
    centres = Counter(int(crop(case)["label"][0, 1, 1, 1]) for _ in range(1000))
    assert set(centres) == {1, 2}
    # four standard deviations of a binomial of 1000 draws
    assert abs(centres[2] - 800) < 4 * (1000 * 0.2 * 0.8) ** 0.5


def test_patches_anywhere_reach_every_place() -> None:
    case: Case = {"image": volume(4, 1, 3), "indices": []}
    crop = BalancedCropd("image", (2, 1, 2), sampling=(1.0,))
    crop.set_random_state(1)
    firsts = {int(crop(case)["image"][0, 0, 0, 0]) for _ in range(100)}
    assert firsts == {0, 1, 3, 4, 6, 7}


def test_a_class_that_the_case_lacks_leaves_its_part_to_the_others() -> None:
    case = one_voxel_each(2)
    case["label"][case["label"] == 2] = 0
    case = ClassIndicesd("label", 2)(case)
    crop = BalancedCropd("label", (3, 3, 3), sampling=(0.0, 0.1, 0.9))
    assert all(int(crop(case)["label"][0, 1, 1, 1]) == 1 for _ in range(20))


def test_a_case_without_any_class_is_cut_anywhere() -> None:
    case: Case = {"image": volume(4, 4, 4), "indices": [np.array([], np.int64)]}
    crop = BalancedCropd("image", (2, 2, 2), sampling=(0.0, 1.0))
    assert tuple(crop(case)["image"].shape) == (1, 2, 2, 2)


def test_a_class_at_the_border_is_inside_of_the_patch() -> None:
    label = torch.zeros(1, 6, 6, 6, dtype=torch.uint8)
    label[0, 5, 0, 3] = 1
    case = ClassIndicesd("label", 1)({"label": label})
    out = BalancedCropd("label", (4, 4, 4), sampling=(0.0, 1.0))(case)
    assert tuple(out["label"].shape) == (1, 4, 4, 4)
    assert int(out["label"].sum()) == 1


def test_image_and_label_are_cut_at_one_place_and_the_indices_dropped() -> None:
    image = volume(9, 9, 9)
    case = ClassIndicesd("label", 1)({"image": image, "label": (image % 7 == 0).to(torch.uint8)})
    out = BalancedCropd(["image", "label"], (4, 5, 6), sampling=(0.5, 0.5))(case)
    assert tuple(out["image"].shape) == (1, 4, 5, 6)
    assert torch.equal(out["label"], (out["image"] % 7 == 0).to(torch.uint8))
    assert set(out) == {"image", "label"}
    assert "indices" in case


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_2d_network_gets_one_slice_and_the_axis_is_dropped(axis: int) -> None:
    image = volume(6, 6, 6)
    case: Case = {"image": image, "indices": []}
    out = BalancedCropd("image", (3, 4), sampling=(1.0,), slice_axis=axis)(case)["image"]
    assert tuple(out.shape) == (1, 3, 4)
    whole = image[0].numpy()
    steps = [int(np.diff(whole, axis=a).flat[0]) for a in range(3) if a != axis]
    assert set(np.diff(out.numpy()[0], axis=0).flat) == {steps[0]}
    assert set(np.diff(out.numpy()[0], axis=1).flat) == {steps[1]}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_adjacent_slices_of_the_image_become_channels_and_the_label_stays_one(axis: int) -> None:
    shape = [4, 4, 4]
    image = torch.arange(64.0).view(1, 4, 4, 4)
    label = image.clone()
    both = torch.cat([image, 100 + image])
    crop = BalancedCropd(["image", "label"], [4, 4], [1.0], axis, slices=3)
    crop.set_random_state(seed=0)
    seen = set()
    for _ in range(40):
        found = crop({"image": both, "label": label, "indices": []})
        assert found["image"].shape == (6, 4, 4)
        assert found["label"].shape == (1, 4, 4)
        place = int(torch.nonzero((image.movedim(axis + 1, 1)[0] == found["label"]).all((1, 2)))[0])
        seen.add(place)
        for shift, channel in zip((-1, 0, 1), found["image"][:3], strict=True):
            beside = min(max(place + shift, 0), shape[axis] - 1)  # the ends are repeated
            assert torch.equal(channel, image.select(axis + 1, beside)[0])
        assert torch.equal(found["image"][3:], 100 + found["image"][:3])
    assert seen == {0, 1, 2, 3}


def test_pictures_are_cut_in_two_axes() -> None:
    case: Case = {"image": volume(8, 9), "indices": []}
    out = BalancedCropd("image", (4, 5), sampling=(1.0,))(case)
    assert tuple(out["image"].shape) == (1, 4, 5)


def test_one_seed_gives_the_same_patches() -> None:
    case = one_voxel_each(3)
    crops = [BalancedCropd("image", (4, 4, 4), sampling=(0.4, 0.2, 0.2, 0.2)) for _ in range(2)]
    for crop in crops:
        crop.set_random_state(5)
    first, second = ([int(c(case)["image"][0, 0, 0, 0]) for _ in range(20)] for c in crops)
    assert first == second
    assert len(set(first)) > 3


def test_a_memory_mapped_case_is_read_in_the_patch_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.zeros((1, 40, 40, 40), np.float32))
    mapped = np.load(tmp_path / "image.npy", mmap_mode="c")
    touched: list[Any] = []

    class Watched(np.ndarray):
        def __getitem__(self, index: Any) -> Any:
            touched.append(index)
            return np.asarray(self).__getitem__(index)

        def __array__(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError("the whole case was read")

    case: Case = {"image": mapped.view(Watched), "indices": []}
    out = BalancedCropd("image", (4, 4, 4), sampling=(1.0,))(case)["image"]
    assert len(touched) == 1
    assert [s.stop - s.start for s in touched[0][1:]] == [4, 4, 4]
    assert out.nelement() == out.untyped_storage().nbytes() // 4 == 64, "a copy, no view"
    out += 1
    assert not mapped.any()


def test_a_patch_with_a_border_goes_on_as_in_a_mirror() -> None:
    case = one_voxel_each(1)
    original = case["image"][0].numpy()
    mirror = np.pad(original, 5, "reflect")
    crop = BalancedCropd(["image", "label"], (14, 14, 14), (0.0, 1.0), border=10)
    out = crop(dict(case))
    assert out["image"].shape == out["label"].shape == (1, 14, 14, 14)
    assert np.array_equal(out["image"][0].numpy(), mirror[2:16, 2:16, 2:16])
    inner = CropBorderd("label", 10)(out)["label"]
    assert inner.shape == (1, 4, 4, 4)
    assert int(inner[0, 2, 2, 2]) == 1, "the drawn voxel is in the middle of the logits"


def test_a_border_wider_than_the_volume_is_mirrored_as_often_as_it_takes() -> None:
    case: Case = {"image": volume(3, 5, 4), "label": torch.zeros(1, 3, 5, 4, dtype=torch.uint8)}
    case = ClassIndicesd("label", 1)(case)
    out = BalancedCropd(["image"], (23, 24), (1.0, 0.0), slice_axis=1, border=20)(case)["image"]
    assert out.shape == (1, 23, 24)
    rows = np.pad(case["image"][0].numpy(), ((10, 10), (0, 0), (10, 10)), "reflect")
    assert any(np.array_equal(out[0].numpy(), rows[:, k]) for k in range(5))


def test_padding_leaves_room_for_the_border() -> None:
    case: Case = {"image": volume(3, 9, 3)}
    out = PadToPatchd("image", (16, 16), slice_axis=1, border=10)(case)
    assert tuple(out["image"].shape) == (1, 6, 9, 6)


def test_no_border_is_cut_from_most_networks() -> None:
    case: Case = {"label": volume(3, 5, 4)}
    assert CropBorderd("label", 0)(case)["label"] is case["label"]
