import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.cli import score
from pipeline.errors import DataError, GeometryError, InvalidValueError, UnknownNameError
from pipeline.io import write_nifti, write_picture
from pipeline.metrics import Score, read_table

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
LABELS = {"liver": 1, "spleen": 2}
Mask = npt.NDArray[Any]


def parse(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    score.register(parser)
    return parser.parse_args([str(word) for word in words])


def run(*words: object) -> int:
    return score.run(parse(*words))


def mask(shift: int = 0) -> Mask:
    """Two boxes; shifted by `shift` voxels along i."""
    array = np.zeros((16, 12, 8), np.uint8)
    array[2 + shift : 8 + shift, 2:9, 2:6] = 1
    array[9 + shift : 12 + shift, 3:7, 1:5] = 2
    return array


def write_set(folder: Path, *, json_too: bool = True) -> tuple[Path, Path]:
    """Three cases: predictions that are shifted by 0, 1 and 2 voxels, and their labels."""
    predictions, labels = folder / "out", folder / "labels"
    for n in range(3):
        write_nifti(labels / f"p{n}.nii.gz", mask(), AFFINE)
        write_nifti(predictions / f"p{n}.nii.gz", mask(n), AFFINE)
        if json_too:
            content = json.dumps({"bundle": "x", "labels": LABELS})
            (predictions / f"p{n}.json").write_text(content)
    return predictions, labels


def write_manifest(folder: Path, **extra: object) -> Path:
    """A manifest of the labels in `folder/labels`: p0 trains, the others test."""
    content = {
        "name": "boxes",
        "modality": "CT",
        "labels": LABELS,
        "cases": [
            {
                "id": f"p{n}",
                "image": f"images/p{n}.nii.gz",
                "label": f"labels/p{n}.nii.gz",
                "split": "train" if n == 0 else "test",
            }
            for n in range(3)
        ],
        **extra,
    }
    path = folder / "boxes.json"
    path.write_text(json.dumps(content))
    return path


def dice(rows: list[Score]) -> dict[tuple[str, str], float]:
    return {(row.case, row.name): row.dice for row in rows}


def test_a_folder_is_scored_with_the_names_of_its_jsons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, labels = write_set(tmp_path)
    assert run(predictions, labels) == 0
    found = dice(read_table(predictions / "scores.csv"))
    assert found["p0", "liver"] == 1.0
    assert found["p1", "liver"] == pytest.approx(5 / 6, abs=1e-6)
    assert found["p2", "spleen"] == pytest.approx(1 / 3, abs=1e-6)
    assert len(found) == 6
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["class", "liver", "spleen", "all"]
    assert lines[1].split()[1] == "0.833"
    assert str(predictions / "scores.csv") in lines[-1]
    assert shown.err == ""


def test_a_manifest_chooses_its_test_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, _ = write_set(tmp_path)
    table = tmp_path / "table.csv"
    assert run(predictions, write_manifest(tmp_path), "-o", table) == 0
    assert {row.case for row in read_table(table)} == {"p1", "p2"}
    assert not (predictions / "scores.csv").exists()
    assert capsys.readouterr().err == (
        "warning: 1 predictions are of no case that is scored; left out\n"
    )
    assert run(predictions, tmp_path / "boxes.json", "-o", table, "--cases", "all") == 0
    assert [row.case for row in read_table(table)[::2]] == ["p0", "p1", "p2"]


def test_a_case_of_a_manifest_that_was_not_predicted_is_an_error(tmp_path: Path) -> None:
    predictions, _ = write_set(tmp_path)
    manifest = write_manifest(tmp_path)
    (predictions / "p2.nii.gz").unlink()
    with pytest.raises(DataError, match=r"no prediction in .* for 1 of 2: p2"):
        run(predictions, manifest)
    assert run(predictions / "p1.nii.gz", manifest) == 0  # one file is scored alone


def test_a_manifest_with_other_integers_than_the_predictions_is_refused(tmp_path: Path) -> None:
    predictions, _ = write_set(tmp_path)
    manifest = write_manifest(tmp_path, labels={"liver": 2, "spleen": 1})
    with pytest.raises(DataError, match="class 'liver' is 2 in the manifest and 1 in the pred"):
        run(predictions, manifest)


def test_regions_of_a_manifest_meet_channels(tmp_path: Path) -> None:
    predictions, _ = write_set(tmp_path)
    for n in range(3):
        array = mask(n)
        channels = np.stack([array > 0, array == 2], -1).astype(np.uint8)
        write_nifti(predictions / f"p{n}.nii.gz", channels, AFFINE)
        content = {"regions": {"organs": [1, 2], "spleen": [2]}}
        (predictions / f"p{n}.json").write_text(json.dumps(content))
    regions = {"organs": [1, 2], "spleen": [2]}
    manifest = write_manifest(tmp_path, regions=regions, head="sigmoid")
    assert run(predictions, manifest, "--cases", "all") == 0
    found = dice(read_table(predictions / "scores.csv"))
    assert found["p0", "organs"] == found["p0", "spleen"] == 1.0
    assert found["p1", "spleen"] == pytest.approx(2 / 3, abs=1e-6)
    swapped = write_manifest(
        tmp_path, regions=dict(reversed(list(regions.items()))), head="sigmoid"
    )
    with pytest.raises(DataError, match="regions are spleen, organs, those of the predictions"):
        run(predictions, swapped)


def test_two_files_are_scored_without_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "mine.nii.gz", mask(1), AFFINE)
    write_nifti(tmp_path / "truth.nii", mask(), AFFINE)
    before = sorted(tmp_path.iterdir())
    assert run(tmp_path / "mine.nii.gz", tmp_path / "truth.nii") == 0
    assert sorted(tmp_path.iterdir()) == before
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["class", "1", "2", "all"]


def test_classes_given_by_hand_come_first(tmp_path: Path) -> None:
    predictions, labels = write_set(tmp_path)
    assert run(predictions, labels, "--classes", "milt=2", "both=1,2") == 0
    assert {row.name for row in read_table(predictions / "scores.csv")} == {"milt", "both"}
    for wrong in ("liver", "liver=x", "=1", "liver="):
        with pytest.raises(InvalidValueError, match="class '"):
            run(predictions, labels, "--classes", wrong)


def test_a_prediction_on_another_grid_is_brought_onto_the_labels_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fine = np.kron(mask(), np.ones((2, 2, 1), np.uint8))
    half = np.diag([1.0, 1.0, 3.0, 1.0])
    half[:3, 3] = -0.5, -0.5, 0  # the first voxel of 2 mm reaches from -1 to 1 mm
    write_nifti(tmp_path / "fine.nii.gz", fine, half)
    write_nifti(tmp_path / "truth.nii.gz", mask(), AFFINE)
    assert run(tmp_path / "fine.nii.gz", tmp_path / "truth.nii.gz", "-o", tmp_path / "t.csv") == 0
    assert set(dice(read_table(tmp_path / "t.csv")).values()) == {1.0}
    warning = capsys.readouterr().err
    assert warning.startswith("warning: case fine: the prediction lies on another grid")
    assert "32x24x8 of 1 x 1 x 3 mm onto 16x12x8 of 2 x 2 x 3 mm" in warning


def test_what_cannot_be_compared_is_an_error(tmp_path: Path) -> None:
    away = AFFINE.copy()
    away[0, 3] = 500
    write_nifti(tmp_path / "a.nii.gz", mask(), AFFINE)
    write_nifti(tmp_path / "b.nii.gz", mask(), away)
    write_picture(tmp_path / "c.png", mask()[..., 3])
    write_picture(tmp_path / "d.png", mask()[1:, :, 3])
    with pytest.raises(GeometryError, match=r"case 'a': .* do not overlap"):
        run(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    with pytest.raises(GeometryError, match="case 'c': one mask is a picture"):
        run(tmp_path / "c.png", tmp_path / "a.nii.gz")
    with pytest.raises(GeometryError, match="case 'c': the prediction has 16x12 voxels"):
        run(tmp_path / "c.png", tmp_path / "d.png")


def test_pictures_of_0_and_255_are_scored_in_pixels(tmp_path: Path) -> None:
    for n in range(2):
        array = (mask(n)[..., 3] == 1).astype(np.uint8)
        write_picture(tmp_path / "out" / f"x{n}.png", 255 * array)
        write_picture(tmp_path / "labels" / f"x{n}.png", (mask()[..., 3] == 1).astype(np.uint8))
    assert run(tmp_path / "out", tmp_path / "labels") == 0
    rows = read_table(tmp_path / "out" / "scores.csv")
    assert [row.unit for row in rows] == ["px", "px"]
    assert [row.dice for row in rows] == pytest.approx([1.0, 5 / 6], abs=1e-6)


def test_folders_are_paired_by_name_and_probabilities_are_no_masks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, labels = write_set(tmp_path)
    write_nifti(predictions / "p1_prob.nii.gz", mask(), AFFINE)
    (predictions / "p2.nii.gz").unlink()
    assert run(predictions, labels) == 0
    assert {row.case for row in read_table(predictions / "scores.csv")} == {"p0", "p1"}
    assert "1 of 3 labels" in capsys.readouterr().err
    (labels / "p1.nii.gz").unlink()
    with pytest.raises(DataError, match=r"no label in .* for 1 of 2: p1"):
        run(predictions, labels)
    write_picture(predictions / "p0.png", mask()[..., 3])
    with pytest.raises(DataError, match=r"p0\.nii\.gz and p0\.png are both of case 'p0'"):
        run(predictions, labels)


def test_missing_and_empty_folders_and_unknown_manifests_are_errors(tmp_path: Path) -> None:
    predictions, labels = write_set(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no such file or folder"):
        run(tmp_path / "nothing", labels)
    with pytest.raises(DataError, match="no mask in it"):
        run(tmp_path / "empty", labels)
    with pytest.raises(DataError, match="no such file or folder"):
        run(predictions, tmp_path / "nothing.nii.gz")
    with pytest.raises(UnknownNameError, match="no manifest"):
        run(predictions, "boxs")


@pytest.mark.parametrize("content", ["", "[]", '{"labels": {"a": "b"}}', '{"labels": {}}'])
def test_a_json_without_labels_is_an_error(content: str, tmp_path: Path) -> None:
    predictions, labels = write_set(tmp_path)
    (predictions / "p1.json").write_text(content)
    with pytest.raises(DataError, match=r"p1\.json: no labels|names other classes"):
        run(predictions, labels)


@pytest.mark.parametrize("content", ["{}", '{"case": "p1", "trusted": true}'])
def test_a_json_that_speaks_of_no_classes_says_nothing(content: str, tmp_path: Path) -> None:
    predictions, labels = write_set(tmp_path)
    assert run(predictions, labels) == 0
    wanted = (predictions / "scores.csv").read_text()
    (predictions / "p1.json").write_text(content)
    assert run(predictions, labels) == 0
    assert (predictions / "scores.csv").read_text() == wanted


def test_starts_and_scores_without_torch(tmp_path: Path) -> None:
    predictions, labels = write_set(tmp_path)
    program = (
        "import argparse, sys\n"
        "from pipeline.cli import score\n"
        "parser = argparse.ArgumentParser()\n"
        "score.register(parser)\n"
        "assert score.run(parser.parse_args(sys.argv[1:])) == 0\n"
        "print(sorted({'torch', 'monai', 'ignite', 'mlflow'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program, str(predictions), str(labels)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == ""
