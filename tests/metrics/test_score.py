from math import isnan, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai.metrics import (
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)

from pipeline.errors import DataError, GeometryError, InvalidValueError
from pipeline.metrics import Score, score_case

SPACING = (0.8, 1.2, 2.5)
NAMES = {"liver": 1, "spleen": 2, "aorta": 7}


def volume(seed: int, dtype: type = np.uint8) -> npt.NDArray[Any]:
    """A label map with all three classes, as boxes."""
    rng = np.random.default_rng(seed)
    mask: npt.NDArray[Any] = np.zeros((20, 18, 12), dtype)
    for n, value in enumerate(NAMES.values()):
        low = rng.integers(0, 4, 3) + np.array([0, 5 * n, 2])
        high = low + rng.integers(3, 8, 3)
        mask[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = value
    return mask


def by_name(rows: list[Score]) -> dict[str, Score]:
    return {row.name: row for row in rows}


# MONAI warns of an argument that it passes to itself
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_scores_are_those_of_monai(dtype: type) -> None:
    prediction, label = volume(1, dtype), volume(2, dtype)
    for row in score_case(prediction, label, NAMES, SPACING, 1.5, case="a"):
        y_pred, y = (
            torch.as_tensor((mask == NAMES[row.name])[None, None]).float()
            for mask in (prediction, label)
        )
        assert (row.case, row.state, row.unit) == ("a", "present", "mm")
        dice = compute_dice(y_pred, y)
        assert row.dice == pytest.approx(dice.item())
        assert row.iou == pytest.approx(compute_iou(y_pred, y).item())
        hd95 = compute_hausdorff_distance(
            y_pred, y, include_background=True, percentile=95, spacing=SPACING
        )
        assert row.hd95 == pytest.approx(hd95.item(), rel=1e-5)
        near = compute_surface_dice(y_pred, y, [1.5], include_background=True, spacing=SPACING)
        assert row.surface_dice == pytest.approx(near.item(), rel=1e-5)


def test_a_perfect_prediction_has_the_best_scores() -> None:
    label = volume(3)
    for row in score_case(label, label, NAMES, SPACING):
        assert (row.dice, row.iou, row.hd95, row.surface_dice) == (1.0, 1.0, 0.0, 1.0)


def test_volumes_are_in_ml() -> None:
    label = np.zeros((10, 10, 10), np.uint8)
    label[:5] = 1
    (row,) = score_case(label[::-1], label, {"liver": 1}, (10.0, 1.0, 2.0))
    assert row.volume_label_ml == row.volume_prediction_ml == pytest.approx(500 * 0.02)
    assert row.dice == 0.0


@pytest.mark.parametrize("spacing", [SPACING, (1.0, 1.0, 1.0)])
def test_missed_and_invented_count_as_0_and_the_diagonal_and_absent_is_left_out(
    spacing: tuple[float, float, float],
) -> None:
    prediction, label = np.zeros((2, 20, 18, 12), np.uint8)
    label[2:5, 3:6, 4:6] = 1
    prediction[2:5, 3:6, 4:6] = 2
    rows = by_name(score_case(prediction, label, NAMES, spacing))
    diagonal = sqrt(sum((n * mm) ** 2 for n, mm in zip(label.shape, spacing, strict=True)))
    for name, state in (("liver", "missed"), ("spleen", "invented")):
        row = rows[name]
        assert row.state == state
        assert (row.dice, row.iou, row.surface_dice) == (0.0, 0.0, 0.0)
        assert row.hd95 == pytest.approx(diagonal)
    absent = rows["aorta"]
    assert absent.state == "absent"
    assert all(map(isnan, (absent.dice, absent.iou, absent.hd95, absent.surface_dice)))
    assert rows["liver"].volume_label_ml > 0.0 == rows["liver"].volume_prediction_ml
    assert absent.volume_label_ml == absent.volume_prediction_ml == 0.0


def test_classes_that_are_not_asked_for_do_not_count() -> None:
    prediction, label = volume(1), volume(2)
    alone = score_case(prediction, label, {"spleen": 2}, SPACING)
    assert alone == [by_name(score_case(prediction, label, NAMES, SPACING))["spleen"]]


def test_what_lies_far_from_a_class_does_not_change_its_scores() -> None:
    prediction, label = volume(1), volume(2)
    padded = [np.pad(mask, ((9, 4), (3, 8), (6, 5))) for mask in (prediction, label)]
    inner = [np.pad(mask, 1) for mask in (prediction, label)]
    near = score_case(inner[0], inner[1], NAMES, SPACING)
    assert score_case(padded[0], padded[1], NAMES, SPACING) == near


def test_regions_of_several_integers_overlap() -> None:
    prediction, label = volume(1), volume(2)
    regions = {"organs": (1, 2), "all": (1, 2, 7)}
    rows = by_name(score_case(prediction, label, regions, SPACING))
    for name, values in regions.items():
        one, other = np.isin(prediction, values), np.isin(label, values)
        expected = 2 * (one & other).sum() / (one.sum() + other.sum())
        assert rows[name].dice == pytest.approx(expected)


def test_channels_are_scored_like_the_integers_they_stand_for() -> None:
    prediction, label = volume(1), volume(2)
    regions = {"organs": (1, 2), "all": (1, 2, 7), "heart": (9,)}
    expected = score_case(prediction, label, regions, SPACING)
    one, other = (
        np.stack([np.isin(mask, values) for values in regions.values()], -1).astype(np.uint8)
        for mask in (prediction, label)
    )
    assert by_name(expected)["heart"].state == "absent"
    assert str(score_case(one, label, regions, SPACING)) == str(expected)
    assert str(score_case(one, other, list(regions), SPACING)) == str(expected)


def test_a_picture_is_measured_in_pixels_and_has_no_volume() -> None:
    prediction, label = np.zeros((2, 30, 40), np.uint8)
    label[10:20, 10:20], prediction[10:20, 13:23] = 3, 3
    (row,) = score_case(prediction, label, {"cell": 3}, None)
    assert row.unit == "px"
    assert row.hd95 == pytest.approx(3.0)
    assert row.dice == pytest.approx(0.7)
    assert isnan(row.volume_label_ml)
    (missed,) = score_case(0 * label, label, {"cell": 3}, None)
    assert missed.hd95 == pytest.approx(50.0)


@pytest.mark.parametrize("integer", [1, 255])
def test_the_only_class_of_a_picture_may_be_white(integer: int) -> None:
    label = np.zeros((30, 40), np.uint8)
    label[10:20, 10:20] = 1
    for one, other in ((255, 1), (1, 255), (255, 255)):
        if integer == 255 and 1 in (one, other):
            continue
        (row,) = score_case(label * one, label * other, {"cell": integer}, None)
        assert row.dice == 1.0


def test_a_single_slice_is_scored_as_a_picture_is() -> None:
    prediction, label = volume(1)[..., 4], volume(2)[..., 4]
    flat = score_case(prediction, label, NAMES, (0.8, 1.2))
    thick = score_case(prediction[..., None], label[..., None], NAMES, (0.8, 1.2, 1e-9))
    for one, other in zip(flat, thick, strict=True):
        assert one.hd95 == pytest.approx(other.hd95)
        assert one.surface_dice == other.surface_dice


def test_one_voxel_is_an_image_too() -> None:
    (row,) = score_case(np.ones((1, 1, 1), bool), np.ones((1, 1, 1), bool), {"a": 1}, (1, 1, 1))
    assert (row.dice, row.hd95, row.surface_dice) == (1.0, 0.0, 1.0)


def test_masks_are_left_as_they_were() -> None:
    prediction, label = volume(1), volume(2)
    copies = prediction.copy(), label.copy()
    score_case(prediction, label, NAMES, SPACING)
    assert (prediction == copies[0]).all()
    assert (label == copies[1]).all()


def test_what_does_not_fit_is_refused() -> None:
    label = volume(1)
    with pytest.raises(GeometryError, match=r"case 'x': the prediction has 19x18x12 voxels"):
        score_case(label[1:], label, NAMES, SPACING, case="x")
    with pytest.raises(DataError, match="2 channels for the 3 classes liver, spleen, aorta"):
        score_case(np.stack([label, label], -1), label, NAMES, SPACING)
    with pytest.raises(DataError, match="no integers for liver"):
        score_case(label, label, ["liver"], SPACING)
    with pytest.raises(InvalidValueError, match="class 'air' is 0"):
        score_case(label, label, {"air": 0}, SPACING)
    with pytest.raises(InvalidValueError, match="tolerance is -1"):
        score_case(label, label, NAMES, SPACING, -1)
