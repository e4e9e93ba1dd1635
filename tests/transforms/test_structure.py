from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from pipeline.io import read_label, write_nifti, write_picture
from pipeline.transforms.reader import ReadVolumed
from pipeline.transforms.structure import ExtractStructured, SaveMaskd

OBLIQUE = np.array([[-1.9, 0.1, 0, 80], [0.1, 1.9, 0.2, -40], [0, -0.2, 4.9, 7], [0, 0, 0, 1.0]])


def test_a_tumour_is_taken_out_of_a_label_map_and_saved_in_its_place(tmp_path: Path) -> None:
    label = np.random.default_rng(0).integers(0, 4, (6, 7, 5)).astype(np.uint8)
    write_nifti(tmp_path / "label.nii.gz", label, OBLIQUE)
    case = {"label": str(tmp_path / "label.nii.gz"), "case": "patient 7"}
    steps = [
        ReadVolumed("label"),
        ExtractStructured("label", values=[2]),
        SaveMaskd("label", tmp_path / "tumours", suffix="_tumour"),
    ]
    out = Compose(steps)(case)["label"]
    saved = read_label(tmp_path / "tumours" / "patient 7_tumour.nii.gz")
    assert saved.array.dtype == np.uint8
    assert saved.array.tolist() == (label == 2).astype(int).tolist()
    assert saved.affine is not None
    assert np.abs(saved.affine - OBLIQUE).max() < 1e-5
    assert out[0].numpy().tolist() == saved.array.tolist()


def test_several_integers_are_one_structure_and_meta_data_stay() -> None:
    label = MetaTensor(torch.tensor([[[0, 1, 2, 300]]]), meta={"filename_or_obj": "a.nii"})
    out = ExtractStructured("label", values=[1, 300])({"label": label})["label"]
    assert out.tolist() == [[[0, 1, 0, 1]]]
    assert out.dtype == torch.uint8
    assert out.meta["filename_or_obj"] == "a.nii"


def test_a_pictures_mask_is_saved_as_png(tmp_path: Path) -> None:
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_picture(tmp_path / "a.png", label)
    case = ReadVolumed("label")({"label": str(tmp_path / "a.png"), "case": "a"})
    SaveMaskd("label", tmp_path / "out")(ExtractStructured("label", [5, 6])(case))
    saved = read_label(tmp_path / "out" / "a.png").array
    assert saved.tolist() == np.isin(label, [5, 6]).astype(int).tolist()
