import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DataError
from pipeline.manifests import load_manifest

Write = Callable[..., Path]
# The keys and the habits of the ten published files, a misspelt `relase` included.
MSD: dict[str, Any] = {
    "name": "Prostate",
    "description": "Prostate transitional zone and peripheral zone segmentation",
    "reference": "a university",
    "licence": "CC-BY-SA 4.0",
    "relase": "1.0 04/05/2018",
    "tensorImageSize": "4D",
    "modality": {"0": "T2", "1": "ADC"},
    "labels": {"0": "background", "2": "TZ", "1": "PZ"},
    "numTraining": 2,
    "numTest": 1,
    "training": [
        {"image": "./imagesTr/p_00.nii.gz", "label": "./labelsTr/p_00.nii.gz"},
        {"image": "./imagesTr/p_01.nii.gz", "label": "./labelsTr/p_01.nii.gz"},
    ],
    "test": ["./imagesTs/p_09.nii.gz"],
}


def test_a_dataset_json_of_msd_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(MSD))
    manifest = load_manifest(tmp_path)
    assert manifest.name == "Prostate"
    assert manifest.modality == ("MR", "MR")
    assert list(manifest.labels.items()) == [("PZ", 1), ("TZ", 2)]
    assert manifest.licence == "CC-BY-SA 4.0"
    assert [(case.id, case.part) for case in manifest.cases] == [
        *(("p_00", "train"), ("p_01", "train"), ("p_09", "test")),
    ]
    assert manifest.cases[2].label is None
    assert manifest.cases[0].image == tmp_path / "imagesTr/p_00.nii.gz"


def test_folds_may_be_added_to_a_dataset_json_of_msd(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({**MSD, "folds": [["p_00"], ["p_01"]]}))
    assert [case.id for case in load_manifest(tmp_path).part("test", 1)] == ["p_01"]


def test_labels_of_msd_that_are_no_integers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({**MSD, "labels": {"x": "PZ"}}))
    with pytest.raises(DataError, match=r"labels\.PZ is"):
        load_manifest(tmp_path)


def test_a_dataset_json_of_nnunet_says_how_to_write_a_manifest(tmp_path: Path) -> None:
    content = {"channel_names": {"0": "CT"}, "labels": {"a": 1}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="nnU-Net") as caught:
        load_manifest(tmp_path)
    assert "unetworks data new" in caught.value.hint


def test_a_datalist_of_monai_needs_only_modality_and_labels_more(write: Write) -> None:
    channels = ["x_t1.nii.gz", "x_t2.nii.gz"]
    training = [
        {"image": channels, "label": f"{n}.nii.gz", "id": str(n), "fold": n} for n in (0, 1)
    ]
    manifest = load_manifest(write(training=training, testing=["y.nii.gz"]))
    assert manifest.cases[0].images == tuple(manifest.path.parent / name for name in channels)
    assert [case.part for case in manifest.cases] == ["train", "train", "test"]
    assert [case.id for case in manifest.part("test", 1)] == ["1"]
