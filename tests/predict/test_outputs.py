import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import InvalidValueError
from pipeline.predict.inputs import InputCase
from pipeline.predict.ledger import append_ledger
from pipeline.predict.model import Model, open_model
from pipeline.predict.outputs import counts, mask_paths, of_regions, write_mask
from pipeline.predict.segment import Segmented
from tests.threshold import facts_of, plan_of, write_run


def cases(*names: str) -> list[InputCase]:
    return [InputCase(name, (), name) for name in names]


def model(folder: Path, **facts: object) -> Model:
    dims = int(str(facts.pop("dims", 2)))
    run = write_run(folder, facts_of(dims, **facts), plan_of(dims))
    return open_model(run, torch.device("cpu"))


@pytest.mark.parametrize("name", ["out.nii.gz", "out.nii", "deep/out.nii.gz"])
def test_one_case_and_a_files_name_is_that_file(name: str) -> None:
    assert mask_paths(name, cases("a"), pictures=False) == [Path(name)]


def test_everything_else_is_a_folder() -> None:
    found = mask_paths("out", cases("a", "b"), pictures=False)
    assert found == [Path("out/a.nii.gz"), Path("out/b.nii.gz")]
    assert mask_paths("out.d", cases("a"), pictures=True) == [Path("out.d/a.png")]


def test_several_cases_do_not_fit_one_file() -> None:
    with pytest.raises(InvalidValueError, match=r"2 cases and one output file out\.nii\.gz"):
        mask_paths("out.nii.gz", cases("a", "b"), pictures=False)


@pytest.mark.parametrize(("name", "pictures"), [("a.png", False), ("a.nii.gz", True)])
def test_a_scans_mask_is_no_png_and_a_pictures_no_nifti(name: str, pictures: bool) -> None:
    with pytest.raises(InvalidValueError, match=name):
        mask_paths(name, cases("a"), pictures=pictures)


def test_a_pictures_mask_holds_the_integers(tmp_path: Path) -> None:
    mask = np.array([[0, 1], [4, 0]], np.uint8)
    write_mask(tmp_path / "m.png", Segmented(mask, None), model(tmp_path))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "m.png")), mask)


def test_a_pictures_mask_of_one_class_is_0_and_255(tmp_path: Path) -> None:
    one = model(tmp_path, classes=["organ"], values=[[7]])
    write_mask(tmp_path / "m.png", Segmented(np.array([[0, 7]], np.uint8), None), one)
    assert np.asarray(Image.open(tmp_path / "m.png")).tolist() == [[0, 255]]


def test_voxels_and_ml_are_counted_for_each_class(tmp_path: Path) -> None:
    mask = np.zeros((4, 4, 4), np.uint8)
    mask[0], mask[1, 0] = 1, 4
    affine = np.diag([-2.0, 2.0, 5.0, 1.0])  # 20 mm3 a voxel
    found = counts(Segmented(mask, affine), model(tmp_path, dims=3))
    assert found == {
        "organ": {"voxels": 16, "ml": 0.32},
        "lesion": {"voxels": 4, "ml": 0.08},
    }
    picture = counts(Segmented(mask[0], None), model(tmp_path / "2"))
    assert picture == {"organ": {"voxels": 16}, "lesion": {"voxels": 0}}


def test_regions_are_counted_where_they_overlap(tmp_path: Path) -> None:
    regions = model(tmp_path, dims=3, head="sigmoid", values=[[1, 4], [4]])
    mask = np.zeros((2, 2, 2, 2), np.uint8)
    mask[..., 0] = 1
    mask[0, 0, 0, 1] = 1
    found = counts(Segmented(mask, np.eye(4)), regions)
    assert (found["organ"]["voxels"], found["lesion"]["voxels"]) == (8, 1)


def test_a_ledger_grows_by_one_line_of_json(tmp_path: Path) -> None:
    for number in range(3):
        append_ledger(tmp_path / "out", {"case": f"ä{number}"})
    lines = (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["case"] for line in lines] == ["ä0", "ä1", "ä2"]


def test_a_pictures_regions_become_the_integers_that_lie_in_them(tmp_path: Path) -> None:
    disc, cup = [0, 1, 1, 0], [0, 0, 1, 1]  # the last one, cup alone, is no integer's
    regions = np.array([disc, cup], np.uint8).T[None]
    assert of_regions(regions, [[1, 2], [2]]).tolist() == [[0, 1, 2, 2]]
    assert of_regions(regions[:, :3], [[300, 7], [7]]).tolist() == [[0, 300, 7]]
    both = model(tmp_path, head="sigmoid", classes=["disc", "cup"], values=[[1, 2], [2]])
    write_mask(tmp_path / "m.png", Segmented(regions, None), both)
    assert np.asarray(Image.open(tmp_path / "m.png")).tolist() == [[0, 1, 2, 2]]
