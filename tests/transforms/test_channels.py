from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import DataError, InvalidValueError
from pipeline.transforms.channels import ToChannelsd
from pipeline.transforms.reader import ReadVolumed

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOUR = np.stack([GREY, 2 * GREY, 5 * GREY], axis=-1)


def test_grey_and_colour_8_and_16_bit_pictures_of_all_formats_get_one_channel(
    tmp_path: Path,
) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "colour.png")
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    Image.fromarray(GREY.astype(np.uint16) * 256).save(tmp_path / "deep.tif")
    Image.fromarray(GREY).save(tmp_path / "grey.gif")
    Image.fromarray(COLOUR).save(tmp_path / "colour.jpg", quality=95)
    step = ToChannelsd("image", 1)
    found = {
        path.name: step(ReadVolumed("image")({"image": str(path)}))["image"]
        for path in tmp_path.iterdir()
    }
    assert {tuple(image.shape) for image in found.values()} == {(1, 6, 8)}
    assert {image.dtype for image in found.values()} == {torch.float32}
    luminance = COLOUR @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert found["colour.png"][0].numpy() == pytest.approx(luminance, abs=1e-3)
    assert found["colour.jpg"][0].numpy() == pytest.approx(luminance, abs=6)
    assert found["grey.png"][0].numpy().tolist() == GREY.tolist()
    assert found["grey.gif"][0].numpy() == pytest.approx(GREY, abs=1e-3)
    assert found["deep.tif"][0].numpy().tolist() == (GREY * 256.0).tolist()


def test_grey_becomes_three_equal_channels_beside_colour() -> None:
    grey = torch.rand(1, 4, 5)
    out = ToChannelsd("image", 3)({"image": grey})["image"]
    assert torch.equal(out, torch.cat([grey] * 3))
    colour = torch.rand(3, 4, 5)
    assert ToChannelsd("image", 3)({"image": colour})["image"] is colour


def test_without_a_number_nothing_is_changed_and_other_channels_are_refused() -> None:
    image = torch.rand(2, 4, 5)
    assert ToChannelsd("image")({"image": image})["image"] is image
    with pytest.raises(DataError, match="c7 has 2 channels"):
        ToChannelsd("image", 1)({"image": image, "case": "c7"})
    with pytest.raises(InvalidValueError, match="channels is 2"):
        ToChannelsd("image", 2)
