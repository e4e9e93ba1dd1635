"""Windows on disk: a few, whole or refused, found beside the model or in the cache."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.engines.calibration import (
    FILE,
    LIMIT_BYTES,
    affordable,
    cached_path,
    find_calibration,
    read_calibration,
    write_calibration,
)
from pipeline.errors import DataError

SHAPE = (1, 12, 12, 12)


def test_windows_come_back_as_they_were_but_for_half_precision(
    tmp_path: Path, windows: list[Tensor]
) -> None:
    windows[0][0, 0, 0, 0] = 1e9  # beyond half precision
    write_calibration(windows, tmp_path / FILE)
    found = read_calibration(tmp_path / FILE)
    assert len(found) == len(windows)
    assert all(torch.isfinite(window).all() for window in found)
    assert torch.allclose(found[1], windows[1], rtol=1e-3, atol=1e-6)
    assert found[1].dtype == torch.float32


def test_they_are_kept_beside_the_model_or_in_the_cache(
    tmp_path: Path, windows: list[Tensor], cache: Path
) -> None:
    digest = "a" * 64
    assert find_calibration(tmp_path / "model", digest, SHAPE) == []
    assert find_calibration(None, digest, SHAPE) == []
    write_calibration(windows[:2], cached_path(digest))
    assert len(find_calibration(tmp_path / "model", digest, SHAPE)) == 2
    write_calibration(windows[:3], tmp_path / "model" / FILE)
    assert len(find_calibration(tmp_path / "model", digest, SHAPE)) == 3
    assert find_calibration(None, "b" * 64, SHAPE) == []


def test_windows_of_another_shape_are_none(tmp_path: Path, windows: list[Tensor]) -> None:
    write_calibration(windows, tmp_path / FILE)
    assert find_calibration(tmp_path, "d" * 64, (1, 16, 16, 16)) == []


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(DataError, match="is damaged"):
        find_calibration(tmp_path, "a" * 64, SHAPE)


def test_large_windows_are_fewer() -> None:
    assert affordable(8, (1, 96, 96, 96)) == 8
    assert affordable(8, (2, 192, 192, 192)) == 1
    assert affordable(100, (1, 64, 64, 64)) == LIMIT_BYTES // (2 * 64**3)
