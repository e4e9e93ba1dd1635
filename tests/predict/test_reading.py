"""Predict, training, manifests and `convert` read through one reader; choices of reading hold."""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from pipeline.cli import main
from pipeline.errors import GeometryError
from pipeline.io import Reading, read_image, write_nifti
from pipeline.phantom import write_series
from pipeline.predict import Options, datalist, predict
from pipeline.predict.inputs import InputCase
from pipeline.predict.segment import read_case
from pipeline.transforms.grid import ToGridd
from pipeline.transforms.reader import ReadVolumed
from tests.threshold import plan_of, write_run

AFFINE = np.array([[-0.8, 0, 0, 20], [0, 0.9, 0.1, -30], [0, -0.1, 2.0, 7], [0, 0, 0, 1]])
AFFINE[:3, :3] = np.linalg.qr(AFFINE[:3, :3])[0] * [0.8, 0.9, 2.0]
SCAN = np.random.default_rng(3).integers(-1024, 2000, (9, 11, 7)).astype(np.int16)
HU = np.zeros((12, 14, 8), np.int16)
HU[2:9, 3:10, 1:7] = 100
HU[4:7, 5:8, 2:5] = 200


def load(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    file: Any = nibabel.load(path)
    return np.asanyarray(file.dataobj), file.affine


def test_convert_predict_training_and_manifests_see_the_same_voxels(tmp_path: Path) -> None:
    write_series(SCAN, AFFINE, tmp_path / "data" / "ct")
    converted = tmp_path / "converted.nii.gz"
    assert main(["convert", str(tmp_path / "data" / "ct"), str(converted)]) == 0
    case = {"id": "a", "image": {"dicom": "ct", "series": 1}, "label": None, "split": "test"}
    content = {"name": "set", "modality": "CT", "labels": {"organ": 1}, "cases": [case]}
    (tmp_path / "data" / "set.json").write_text(json.dumps(content))
    (found,) = datalist(None, str(tmp_path / "data" / "set.json"))
    row: dict[Hashable, Any] = dict(found.items())
    images = {
        "training": ReadVolumed("image")({"image": str(tmp_path / "data" / "ct")})["image"],
        "manifest": ReadVolumed("image")(row)["image"],
        "predict": read_case(InputCase("a", (tmp_path / "data" / "ct",), "ct")),
        "converted": ReadVolumed("image")({"image": str(converted)})["image"],
    }
    values, affine = load(converted)
    assert sorted(values.ravel()) == sorted(SCAN.ravel())
    to_grid = ToGridd("image", spacing=(1.5, 1.5, 1.5))
    grids = {name: to_grid({"image": image})["image"] for name, image in images.items()}
    for name, image in images.items():
        assert np.array_equal(image.numpy()[0], values), name
        assert np.asarray(image.affine) == pytest.approx(affine, abs=1e-4), name
    for name in ("manifest", "predict"):
        assert np.array_equal(grids[name].numpy(), grids["training"].numpy()), name
    # a NIfTI keeps its affine in single precision
    assert grids["converted"].numpy() == pytest.approx(grids["training"].numpy(), abs=0.5)


def without_place(path: Path) -> Path:
    """A NIfTI whose both codes are 0."""
    write_nifti(path, HU, np.diag([1.0, 1.2, 2.0, 1.0]))
    raw = bytearray(path.read_bytes())
    raw[252:256] = bytes(4)  # qform_code and sform_code
    path.write_bytes(raw)
    return path


def test_n07_a_scan_that_says_nothing_of_its_place_is_refused_unless_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    scan = without_place(tmp_path / "in" / "scan.nii")
    with pytest.raises(GeometryError) as caught:
        predict(run, scan, tmp_path / "out")
    assert "--affine pixdim" in caught.value.line()
    (path,) = predict(run, scan, tmp_path / "told", Options(reading=Reading(affine="pixdim"))).masks
    mask, affine = load(path)
    assert np.array_equal(mask > 0, HU > 0)
    assert affine[:3, 3] == pytest.approx(-np.array([11, 13, 7]) * [1, 1.2, 2] / 2), "centred"
    assert json.loads((tmp_path / "told" / "scan.json").read_text())["warnings"]


def test_n07_in_a_manifest_the_labels_place_is_enough(tmp_path: Path) -> None:
    without_place(tmp_path / "scan.nii")
    case = {"id": "a", "image": "scan.nii", "label": "scan.nii", "split": "test"}
    content = {"name": "set", "modality": "CT", "labels": {"organ": 1}, "cases": [case]}
    (tmp_path / "set.json").write_text(json.dumps(content))
    run = write_run(tmp_path / "run")
    assert len(predict(run, tmp_path / "set.json", tmp_path / "out").masks) == 1
    assert json.loads((tmp_path / "out" / "a.json").read_text())["warnings"]


@pytest.fixture
def tilted(tmp_path: Path) -> Path:
    """A series whose slices each lie a row further along than the one before."""
    folder = tmp_path / "in" / "tilted"
    for k, path in enumerate(write_series(HU, np.diag([-1.0, -1.0, 2.0, 1.0]), folder)):
        one = pydicom.dcmread(path)
        one.ImagePositionPatient[1] += float(k)
        one.save_as(path)
    return folder


@pytest.mark.parametrize("spacing", [None, [0.8, 0.9, 1.1]])
def test_a_tilted_series_is_predicted_upright_and_its_mask_lies_on_its_slices(
    tilted: Path, tmp_path: Path, spacing: list[float] | None
) -> None:
    source = read_image(tilted)
    assert source.affine is not None
    run = write_run(tmp_path / "run", plan=plan_of(spacing=spacing))
    (path,) = predict(run, tilted, tmp_path / "out").masks
    mask, affine = load(path)
    assert mask.shape == source.shape
    assert affine == pytest.approx(source.affine, abs=1e-4)
    wanted = np.select([HU == 100, HU == 200], [1, 4], 0)
    if spacing is None:  # the upright grid's voxels are the slices' own
        assert np.array_equal(mask, wanted)
    else:
        assert (mask == wanted).mean() > 0.93
    warnings = json.loads((tmp_path / "out" / "tilted.json").read_text())["warnings"]
    assert any("shear" in line or "tilt" in line for line in warnings)


def test_regularized_the_mask_has_the_grid_that_convert_gives(tilted: Path, tmp_path: Path) -> None:
    out = tmp_path / "even.nii.gz"
    assert main(["convert", str(tilted), str(out), "--regularize"]) == 0
    run = write_run(tmp_path / "run")
    options = Options(reading=Reading(regularize=True))
    (path,) = predict(run, tilted, tmp_path / "out", options).masks
    image, affine = load(out)
    mask, mask_affine = load(path)
    assert mask.shape == image.shape
    assert mask_affine == pytest.approx(affine, abs=1e-5)
    assert np.array_equal(mask == 4, image == 200)
