from collections.abc import Hashable

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from pipeline.errors import DataError, InvalidValueError
from pipeline.transforms.normalise import Normalised


def image(*channels: list[float]) -> dict[Hashable, MetaTensor]:
    meta = {"filename_or_obj": "scan.nii.gz"}
    values = torch.tensor(channels, dtype=torch.float64).reshape(len(channels), 1, 1, -1)
    return {"image": MetaTensor(values, affine=torch.diag(torch.tensor([2.0, 3, 4, 1])), meta=meta)}


def test_a_window_maps_its_ends_to_minus_one_and_one_and_clips_beyond() -> None:
    case = image([-1000, -160, 40, 240, 3000])
    out = Normalised("image", "window", [[-160, 240]])(case)["image"]
    assert out.flatten().tolist() == pytest.approx([-1, -1, 0, 1, 1])
    assert out.dtype == torch.float32


def test_each_channel_has_its_own_window() -> None:
    out = Normalised("image", "window", [[0, 10], [100, 300]])(image([0, 5], [100, 300]))["image"]
    assert out.flatten().tolist() == pytest.approx([-1, 0, -1, 1])


def test_zscore_gives_each_channel_of_each_case_mean_zero_and_deviation_one() -> None:
    values = np.random.default_rng(0).normal((5, -300), (2, 70), (500, 2)).T
    out = Normalised("image")(image(*values.tolist()))["image"]
    assert out.dtype == torch.float32
    for channel, given in zip(out.numpy(), values, strict=True):
        assert channel.mean() == pytest.approx(0, abs=1e-5)
        assert channel.std() == pytest.approx(1, abs=1e-4)
        assert channel.flatten() == pytest.approx((given - given.mean()) / given.std(), abs=1e-4)


def test_a_constant_channel_becomes_zero_and_stays_finite() -> None:
    assert Normalised("image")(image([7, 7, 7]))["image"].abs().max() == 0


def test_meta_data_stay_and_the_input_is_left_as_it_was() -> None:
    case = image([0, 10])
    out = Normalised("image", "window", [[0, 10]])(case)["image"]
    assert isinstance(out, MetaTensor)
    assert out.meta["filename_or_obj"] == "scan.nii.gz"
    assert torch.equal(out.affine, case["image"].affine)
    assert case["image"].flatten().tolist() == [0, 10]


def test_another_number_of_channels_than_windows_is_refused() -> None:
    with pytest.raises(DataError, match="1 channels and windows for 2"):
        Normalised("image", "window", [[0, 1], [0, 1]])(image([0, 1]))


@pytest.mark.parametrize(
    ("normalisation", "window", "message"),
    [("minmax", None, "normalisation is 'minmax'"), ("window", None, "window has no interval")],
)
def test_what_no_plan_could_mean_is_refused(normalisation: str, window: None, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        Normalised("image", normalisation, window)


def test_a_missing_key_is_skipped_only_if_allowed() -> None:
    assert Normalised("other", allow_missing_keys=True)(image([1])).keys() == {"image"}
    with pytest.raises(KeyError, match="other"):
        Normalised("other")(image([1]))
