from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.io import write_nifti
from pipeline.transforms.preparation import image_preparation

Plan = dict[str, Any]


@pytest.fixture
def scan(tmp_path: Path) -> Callable[[], str]:
    def _scan() -> str:
        array = np.arange(4 * 6 * 8, dtype=np.int16).reshape(4, 6, 8)
        # i to the left, so that the network's grid has it turned round
        write_nifti(tmp_path / "scan.nii.gz", array, np.diag([-2.0, 1.0, 1.0, 1.0]))
        return str(tmp_path / "scan.nii.gz")

    return _scan


def test_a_scan_is_read_turned_to_ras_resampled_and_scaled(scan: Callable[[], str]) -> None:
    plan: Plan = {"spacing": [1.0, 1.0, 1.0], "normalisation": "window", "window": [[0, 191]]}
    image = image_preparation(plan)({"image": [scan()], "series": None})["image"]
    assert tuple(image.shape) == (1, 7, 6, 8)
    assert float(image[0, -1, 0, 0]) == pytest.approx(-1)  # the file's first voxel
    assert float(image[0, 0, -1, -1]) == pytest.approx(1)
    assert image.meta["spatial_shape"].tolist() == [4, 6, 8]
    assert np.asarray(image.meta["original_affine"]).diagonal().tolist() == [-2, 1, 1, 1]


def test_a_plan_without_spacing_keeps_the_scans_own(scan: Callable[[], str]) -> None:
    plan: Plan = {"spacing": None, "normalisation": "zscore", "window": None}
    image = image_preparation(plan)({"image": [scan()]})["image"]
    assert tuple(image.shape) == (1, 4, 6, 8)
    assert float(image.mean()) == pytest.approx(0, abs=1e-5)
