"""Rows D43, D46 and D54 where a network is to see the values."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.io import read_image
from pipeline.transforms.grid import ToGridd
from pipeline.transforms.normalise import Normalised
from pipeline.transforms.reader import ReadVolumed, VolumeReader
from tests.drawings import write_series

WINDOW = [[-160, 240]]
HU = np.arange(-1000, -1000 + 5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3)


def read(*folders: Path) -> dict[object, object]:
    return dict(ToGridd("image")(ReadVolumed("image")({"image": folders})))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"without": ("RescaleSlope", "RescaleIntercept")}, "no rescale"),
        ({"RescaleType": "US"}, "RescaleType US"),
    ],
)
def test_a_ct_that_is_not_in_hu_is_refused_where_a_window_in_hu_is_asked(
    tmp_path: Path, header: dict[str, object], said: str
) -> None:
    folder = write_series(tmp_path / "ct", HU, **header)  # type: ignore[arg-type]
    case = read(folder)
    with pytest.raises(DataError, match=rf"ct: a CT whose values are not HU \({said}\)") as error:
        Normalised("image", "window", WINDOW)(case)
    assert "--force-modality" in error.value.hint
    assert "--normalisation zscore" in error.value.hint
    forced = Normalised("image", "window", WINDOW, any_unit=True)(case)["image"]
    assert float(forced.max()) == -1
    assert float(Normalised("image", "zscore")(case)["image"].std()) > 0.5


def test_one_channel_that_is_not_in_hu_is_enough(tmp_path: Path) -> None:
    one = write_series(tmp_path / "one", HU)
    other = write_series(tmp_path / "other", HU, RescaleType="US")
    with pytest.raises(DataError, match="not HU"):
        Normalised("image", "window", WINDOW * 2)(read(one, other))


def test_a_ct_in_hu_passes(tmp_path: Path) -> None:
    for name, header in (("plain", {}), ("said", {"RescaleType": "HU"})):
        case = read(write_series(tmp_path / name, HU, **header))  # type: ignore[arg-type]
        assert Normalised("image", "window", WINDOW)(case)["image"].shape == (1, *HU.shape)


def test_d54_padding_is_air_to_the_transforms_and_stays_in_the_volume(tmp_path: Path) -> None:
    hu = HU.copy()
    hu[0] = -3024
    folder = write_series(tmp_path / "ct", hu, PixelPaddingValue=-3024)
    assert np.array_equal(read_image(folder).array, hu)
    lowest = hu[1:].min()
    expected = np.where(hu == -3024, lowest, hu)
    assert np.array_equal(ReadVolumed("image")({"image": folder})["image"].numpy()[0], expected)
    assert np.array_equal(VolumeReader().get_data(folder)[0], expected)
