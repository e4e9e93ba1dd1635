from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.figures import colour_of
from pipeline.figures.inspection import inspection, spread_of
from pipeline.figures.layout import Page

RAS = np.diag([2.0, 2.0, 4.0, 1.0])
RNG = np.random.default_rng(0)
SCAN: Any = RNG.normal(0, 200, (40, 30, 12)).astype(np.int16)


def pixels(path: Path) -> Any:
    with Image.open(path) as page:
        return np.asarray(page.convert("RGB")).astype(int)


@pytest.mark.parametrize("dtype", ["int16", "int64", "float32", "float64"])
def test_percentiles_and_range_are_those_of_the_values(dtype: str) -> None:
    spread = spread_of(SCAN.astype(dtype))
    assert (spread.low, spread.high) == (SCAN.min(), SCAN.max())
    for share, value in spread.percentiles.items():
        assert value == np.percentile(SCAN, share, method="inverted_cdf")
    assert spread.labels is None
    assert spread.odd == 0


@pytest.mark.parametrize("array", [SCAN, SCAN / 7.0, SCAN[:1, :1, :1], np.full((3, 3), 1e30)])
def test_every_value_is_in_one_bin(array: Any) -> None:
    spread = spread_of(array)
    assert spread.shares.sum() == pytest.approx(1)
    assert (np.diff(spread.edges) > 0).all()
    assert len(spread.shares) <= 32
    assert spread.edges[0] <= np.median(array) < spread.edges[-1]


def test_one_wild_value_does_not_widen_the_bins() -> None:
    wild = SCAN.copy()
    wild[0, 0, 0] = 32000
    assert np.array_equal(spread_of(wild).edges, spread_of(SCAN).edges)
    assert spread_of(wild).high == 32000


def test_values_that_are_no_numbers_are_counted_and_left_out() -> None:
    array = SCAN.astype(np.float32)
    array[0, 0, :3] = np.nan, np.inf, -np.inf
    spread = spread_of(array)
    assert spread.odd == 3
    assert np.isfinite([spread.low, spread.high, *spread.percentiles.values()]).all()


def test_an_array_without_any_number_has_no_range() -> None:
    spread = spread_of(np.full((2, 2, 2), np.nan))
    assert spread.odd == 8
    assert np.isnan([spread.low, spread.high]).all()
    assert spread.shares.sum() == 0


def test_the_widest_floats_have_bins() -> None:
    spread = spread_of(np.array([[-1.7e308, 0.5, 1.7e308]]))
    assert np.isfinite(spread.edges).all()


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float32"])
def test_few_whole_numbers_are_a_label_map(dtype: str) -> None:
    array = (SCAN > 0).astype(dtype)
    assert spread_of(array).labels == {0: int((SCAN <= 0).sum()), 1: int((SCAN > 0).sum())}
    assert spread_of(array, label=False).labels is None


@pytest.mark.parametrize("array", [SCAN % 3 - 1, (SCAN % 3) / 2, SCAN % 200])
def test_negative_broken_or_many_values_are_no_label_map(array: Any) -> None:
    assert spread_of(array).labels is None


@pytest.mark.parametrize(
    ("array", "affine"),
    [
        (SCAN, RAS),
        (SCAN[..., None].repeat(2, axis=3), RAS),
        (SCAN[:, :, :1], RAS),
        (np.full((4, 4, 4), np.nan), RAS),
        (SCAN[..., 0], None),
        (SCAN[..., :3].astype(np.uint8), None),
    ],
)
def test_the_page_is_dark_1400_wide_and_the_only_file(
    array: Any, affine: Any, tmp_path: Path
) -> None:
    path = inspection(array, spread_of(array, label=False), tmp_path / "a.png", affine=affine)
    page = pixels(path)
    assert page.shape[1] == 1400
    assert page[:3].max() < 30
    assert list(tmp_path.iterdir()) == [path]


def test_labels_are_drawn_in_their_colours(tmp_path: Path) -> None:
    label = np.zeros((40, 30, 12), np.uint8)
    label[5:25, 5:20, 2:9] = 3
    label[8:12, 8:12, 4:7] = 7
    path = inspection(label, spread_of(label), tmp_path / "a.png", affine=RAS)
    for index in (0, 1):
        colour = list(bytes.fromhex(colour_of(index)[1:]))
        assert (np.abs(pixels(path) - colour).max(axis=-1) < 3).sum() > 100


def test_the_page_is_the_same_for_every_storage_order(tmp_path: Path) -> None:
    stored = np.zeros((4, 4))
    stored[2, 0], stored[0, 1], stored[1, 2], stored[3, 3] = 4, -2, 2, 1
    stored[0, 3] = 39 * 2.0
    turned = np.transpose(SCAN[::-1], (2, 0, 1))
    inspection(SCAN, spread_of(SCAN), tmp_path / "a.png", affine=RAS)
    inspection(turned, spread_of(turned), tmp_path / "b.png", affine=stored)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_an_error_while_writing_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _half(self: Page, path: Path) -> None:
        path.write_bytes(b"half")
        raise ZeroDivisionError

    monkeypatch.setattr(Page, "save", _half)
    with pytest.raises(ZeroDivisionError):
        inspection(SCAN, spread_of(SCAN), tmp_path / "a.png", affine=RAS)
    assert list(tmp_path.iterdir()) == []
