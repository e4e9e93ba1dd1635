from collections.abc import Hashable

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import NormalizeIntensity

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


def test_one_channel_with_several_windows_becomes_as_many_channels() -> None:
    windows = [[-1350, 150], [-160, 240], [-500, 1300]]
    out = Normalised("image", "window", windows)(image([-1350, 40, 1300]))["image"]
    alone = [Normalised("image", "window", [w])(image([-1350, 40, 1300]))["image"] for w in windows]
    assert out.shape == (3, 1, 1, 3)
    assert torch.equal(out.as_tensor(), torch.cat([a.as_tensor() for a in alone]))


def test_several_channels_and_another_number_of_windows_are_refused() -> None:
    with pytest.raises(DataError, match="2 channels and windows for 3"):
        Normalised("image", "window", [[0, 1]] * 3)(image([0, 1], [0, 1]))


def test_dataset_clips_and_uses_the_training_sets_mean_and_deviation() -> None:
    step = Normalised("image", "dataset", [[-100, 300]], [[100, 50]])
    out = step(image([-1000, 100, 150, 900]))["image"]
    assert out.flatten().tolist() == pytest.approx([-4, 0, 1, 4])


def test_zscore_of_nonzero_voxels_leaves_zeros_alone_as_monai_does() -> None:
    values = np.random.default_rng(1).normal(50, 9, 300)
    values[::3] = 0
    out = Normalised("image", "zscore_nonzero")(image(values.tolist()))["image"]
    wanted = NormalizeIntensity(nonzero=True)(torch.tensor(values, dtype=torch.float32)[None])
    assert out.flatten().numpy() == pytest.approx(np.asarray(wanted).flatten(), abs=1e-4)
    assert (out.flatten()[::3] == 0).all()


def test_zscore_of_the_foreground_does_not_depend_on_how_much_air_there_is() -> None:
    body = np.random.default_rng(2).normal(500, 40, 200)
    found = []
    for air in (300, 3000):
        values = [*body.tolist(), *([0.0] * air)]
        out = Normalised("image", "zscore_foreground")(image(values))["image"]
        found.append(out.flatten()[:200].numpy())
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert found[0].mean() == pytest.approx(0, abs=1e-4)


def test_percentiles_map_an_8_bit_and_a_16_bit_copy_to_the_same_values() -> None:
    values = np.random.default_rng(3).integers(0, 256, 2000).astype(float)
    low, high = np.percentile(values, (0.5, 99.5))
    out = [
        Normalised("image", "percentile")(image((f * values).tolist()))["image"] for f in (1, 257)
    ]
    wanted = np.clip(2 * (values - low) / (high - low) - 1, -1, 1)
    for scaled in out:
        assert scaled.flatten().numpy() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("normalisation", ["zscore_nonzero", "zscore_foreground", "percentile"])
@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_channel_becomes_zero_whatever_the_normalisation(
    normalisation: str, value: float
) -> None:
    assert Normalised("image", normalisation)(image([value] * 5))["image"].abs().max() == 0


@pytest.mark.parametrize(
    ("normalisation", "window", "message"),
    [
        ("minmax", None, "normalisation is 'minmax'"),
        ("window", None, "window has no interval"),
        ("dataset", [[0, 1]], "dataset has 0 statistics for 1 intervals"),
    ],
)
def test_what_no_plan_could_mean_is_refused(
    normalisation: str, window: list[list[float]] | None, message: str
) -> None:
    with pytest.raises(InvalidValueError, match=message):
        Normalised("image", normalisation, window)


def test_a_missing_key_is_skipped_only_if_allowed() -> None:
    assert Normalised("other", allow_missing_keys=True)(image([1])).keys() == {"image"}
    with pytest.raises(KeyError, match="other"):
        Normalised("other")(image([1]))
