import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from pipeline.transforms.polarity import Polarityd


def picture(background: float, objects: float, channels: int = 1) -> torch.Tensor:
    values = np.random.default_rng(0).normal(background, 2, (channels, 40, 40))
    values[:, 5:15, 5:20] = objects
    return torch.from_numpy(values.astype(np.float32))


def test_dark_nuclei_on_light_ground_become_light_and_keep_the_range() -> None:
    given = picture(220, 60, channels=3)
    out = Polarityd("image")({"image": given})["image"]
    assert out[:, 8, 8].min() > 200
    assert float(out.median()) < 80
    low, high = np.percentile(given, (0.5, 99.5))
    assert np.percentile(out, (0.5, 99.5)) == pytest.approx((low, high), abs=0.5)


def test_light_nuclei_on_dark_ground_stay_as_they_are() -> None:
    given = picture(20, 180)
    assert Polarityd("image")({"image": given})["image"] is given


def test_a_picture_once_turned_is_left_alone() -> None:
    once = Polarityd("image")({"image": picture(220, 60)})["image"]
    assert Polarityd("image")({"image": once})["image"] is once


def test_sets_of_one_polarity_are_not_turned_and_meta_data_stay() -> None:
    image = MetaTensor(picture(220, 60), meta={"filename_or_obj": "a.png"})
    assert Polarityd("image", polarity=False)({"image": image})["image"] is image
    turned = Polarityd("image")({"image": image})["image"]
    assert turned.meta["filename_or_obj"] == "a.png"
