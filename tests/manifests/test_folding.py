import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, InvalidValueError
from pipeline.io import write_nifti
from pipeline.manifests import load_manifest, manifests_dir
from pipeline.manifests.folding import add_folds
from tests.manifests.conftest import listed

Write = Callable[..., Path]


@pytest.fixture
def six(write: Write, tmp_path: Path) -> Path:
    """Six cases with label 1; two of them have label 2 too."""
    for n in range(6):
        array = np.ones((2, 2, 2), np.uint8)
        array[0] = 2 if n < 2 else 1
        write_nifti(tmp_path / f"l/c{n}.nii.gz", array, np.eye(4))
    return write(labels={"liver": 1, "tumour": 2}, training=listed(6))


def test_each_fold_gets_its_share_of_a_rare_label(six: Path) -> None:
    dealt = add_folds(six, 2)
    assert dealt.sizes == (3, 3)
    assert dealt.counts == {"liver": (3, 3), "tumour": (1, 1)}
    manifest = load_manifest(six)
    assert [len(manifest.part("test", fold)) for fold in range(2)] == [3, 3]


def test_channels_of_a_file_of_regions_count_as_its_labels(write: Write, tmp_path: Path) -> None:
    for n in range(4):
        array = np.zeros((2, 2, 2, 2), np.uint8)
        array[..., 0] = 1
        array[0, 0, 0, 1] = n < 2
        write_nifti(tmp_path / f"l/c{n}.nii.gz", array, np.eye(4))
    manifest = write(labels=None, regions={"whole": [1, 2], "core": [2]}, training=listed(4))
    assert add_folds(manifest, 2).counts == {"whole": (2, 2), "core": (1, 1)}


def test_a_label_that_cannot_be_read_is_told_by_its_case(six: Path, tmp_path: Path) -> None:
    (tmp_path / "l/c3.nii.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r'case "c3": .*c3\.nii\.gz'):
        add_folds(six, 2)
    assert "folds" not in json.loads(six.read_text())


def test_a_manifest_of_the_program_is_not_changed_but_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNETWORKS_DATA", str(tmp_path))
    for n in range(4):
        for folder, value in (("imagesTr", -1000), ("labelsTr", 1)):
            array = np.full((2, 2, 2), value, np.int16)
            write_nifti(tmp_path / f"Task09_Spleen/{folder}/s{n}.nii.gz", array, np.eye(4))
    write_nifti(tmp_path / "Task09_Spleen/imagesTs/t.nii.gz", np.zeros((2, 2, 2)), np.eye(4))
    before = (manifests_dir() / "Task09_Spleen.json").read_bytes()
    with pytest.raises(InvalidValueError, match="comes with the program") as told:
        add_folds("Task09_Spleen", 2)
    assert told.value.hint.endswith("unetworks data split Task09_Spleen -o Task09_Spleen.json")
    copy = tmp_path / "mine" / "my.json"
    assert add_folds("Task09_Spleen", 2, output=copy).counts == {"spleen": (2, 2)}
    assert (manifests_dir() / "Task09_Spleen.json").read_bytes() == before
    manifest = load_manifest(copy)
    assert [len(manifest.part("test", fold)) for fold in range(2)] == [2, 2]
    assert all(case.images[0].is_file() for case in manifest.cases)


def test_a_copy_lies_beside_its_manifest_for_its_paths_are_relative(
    six: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValueError, match="is not beside"):
        add_folds(six, 2, output=tmp_path / "elsewhere" / "x.json")
    add_folds(six, 2, output=tmp_path / "folds.json")
    assert "folds" not in json.loads(six.read_text())
    with pytest.raises(InvalidValueError, match="exists"):
        add_folds(six, 3, output=tmp_path / "folds.json")
    assert len(load_manifest(tmp_path / "folds.json").folds) == 2
