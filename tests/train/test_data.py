"""The data set is checked before a training reads it."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.check import check_for_training
from pipeline.io import read_image, write_nifti
from pipeline.manifests import load_manifest
from tests.tiny import ATTUNET, FAST, stock, train, write_set

AFFINE = np.diag([1.0, 1.0, 1.5, 1.0])


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set and a cache that a test may change."""
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    return write_set(tmp_path / "set")


def spoil(folder: Path, kind: str, *cases: str) -> None:
    """Make images hold NaN, or labels an undeclared integer."""
    for case in cases:
        file = folder / kind / f"{case}.nii.gz"
        array = read_image(file).array.astype(np.float32)
        array[0, 0, 0] = np.nan if kind == "images" else 9
        write_nifti(file, array, AFFINE)


def test_a_faulty_set_ends_before_anything_is_built_and_names_its_first_errors(
    own: Path, tmp_path: Path
) -> None:
    spoil(own.parent, "images", "c0", "c1", "c3")
    spoil(own.parent, "labels", "c2")
    ended = train(tmp_path, own)
    assert ended.code == 2
    assert ended.line.startswith(
        "error: tiny: 4 errors in the data: c0: NaN or infinite: 1 voxels (give them a value"
    )
    assert "; c1: NaN or infinite" in ended.line
    assert "; c2: undeclared label value: 9 (1 voxels) (" in ended.line
    assert ended.line.endswith(f"; and 1 more; see unetworks check {own}")
    assert not list((tmp_path / "runs").glob("attunet/*"))
    assert not (tmp_path / "cache" / "fingerprints").exists()


def test_what_is_reported_in_the_end_is_looked_at_by_its_headers_alone(own: Path) -> None:
    spoil(own.parent, "images", "c4")
    spoil(own.parent, "labels", "c5")
    manifest = load_manifest(own)
    report = check_for_training(manifest)
    assert report.errors == 0
    assert (report.cases, report.read) == (6, 6)
    for file in (own.parent / "labels").glob("c[45]*"):
        file.unlink()
    assert check_for_training(manifest).read == 0
    (own.parent / "images" / "c4.nii.gz").write_bytes(b"")
    report = check_for_training(manifest)
    assert report.errors == 0
    assert [f.level for f in report.findings if (f.case, f.what) == ("c4", "unreadable")] == [
        "warning"
    ]


def test_a_sound_set_is_checked_in_one_line_and_not_again(own: Path, tmp_path: Path) -> None:
    first, second = (train(tmp_path, own, max_epochs=1) for _ in range(2))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    for made, known in ((first, 0), (second, 6)):
        (line,) = (line for line in made.err.splitlines() if line.startswith("checked "))
        assert f"checked tiny: 6 cases ({known} unchanged since the last check), 0 errors" in line


def test_only_the_fold_that_is_trained_is_checked(own: Path, tmp_path: Path) -> None:
    content = json.loads(own.read_text())
    content["folds"] = [["c0"], ["c1"]]
    own.write_text(json.dumps(content))
    spoil(own.parent, "images", "c0")
    assert check_for_training(load_manifest(own), fold=0).errors == 0
    ended = train(tmp_path, own, fold=1)
    assert ended.code == 2
    assert "tiny: 1 error in the data: c0: NaN" in ended.line
    assert ended.line.endswith(f"see unetworks check {own} --fold 1")


def test_loading_a_bundle_checks_nothing(own: Path, tmp_path: Path) -> None:
    spoil(own.parent, "images", "c0")
    done = stock(tmp_path, "seed", ATTUNET / "train.json", manifest=str(own), **FAST)
    assert done.code == 0
