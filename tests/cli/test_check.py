import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.io import write_nifti

ROOT = Path(__file__).parents[2]
AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two cases of MR, in two parts."""
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    cases = []
    for n, part in enumerate(("train", "test")):
        image = np.random.default_rng(n).integers(0, 200, (6, 6, 6)).astype(np.int16)
        label = (image > 100).astype(np.uint8)
        write_nifti(tmp_path / f"i{n}.nii.gz", image, AFFINE)
        write_nifti(tmp_path / f"l{n}.nii.gz", label, AFFINE)
        case = {"id": f"c{n}", "image": f"i{n}.nii.gz", "label": f"l{n}.nii.gz"}
        cases.append(case | {"split": part})
    file = tmp_path / "two.json"
    file.write_text(
        json.dumps({"name": "two", "modality": "MR", "labels": {"a": 1}, "cases": cases})
    )
    return file


def test_a_sound_set_ends_with_0_and_one_line(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(manifest), "--jobs", "1"]) == 0
    out, err = capsys.readouterr()
    assert out == "two: 2 cases (0 unchanged since the last check), 0 errors, 0 warnings\n"
    assert err == ""


def test_warnings_end_with_0_and_errors_with_2_in_a_table(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(manifest.parent / "l0.nii.gz", np.zeros((6, 6, 6), np.uint8), AFFINE)
    assert main(["check", str(manifest), "--jobs", "1", "--quiet"]) == 0
    assert "0 of 216 voxels labelled" in capsys.readouterr().out
    write_nifti(manifest.parent / "l0.nii.gz", np.full((6, 6, 6), 9, np.uint8), AFFINE)
    assert main(["check", str(manifest), "--jobs", "1"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["case", "level", "what", "measured", "remedy"]
    assert lines[1].startswith("c0    error  undeclared label value  9 (216 voxels)")
    assert lines[-1].endswith("(1 unchanged since the last check), 1 errors, 0 warnings")


def test_json_is_one_document_with_the_same_findings(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = (manifest.parent / "i0.nii.gz").read_bytes()
    (manifest.parent / "i1.nii.gz").write_bytes(image)
    assert main(["check", str(manifest), "--jobs", "1", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["cases"], document["errors"], document["warnings"]) == (2, 1, 0)
    (finding,) = document["findings"]
    assert finding["what"] == "duplicate in two parts"
    assert set(finding) == {"case", "level", "what", "measured", "remedy"}


def test_a_fold_and_a_folder_of_data_can_be_chosen(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = json.loads(manifest.read_text())
    for n, case in enumerate(raw["cases"]):
        case |= {"fold": n}
        del case["split"]
    other = manifest.parent / "elsewhere" / "folds.json"
    other.parent.mkdir()
    other.write_text(json.dumps(raw))
    words = ["check", str(other), "--jobs", "1", "--dataset_dir", str(manifest.parent)]
    assert main([*words, "--fold", "1"]) == 0
    assert main([*words, "--fold", "5"]) == 2
    assert "no fold 5" in capsys.readouterr().err


def test_checking_starts_without_torch(manifest: Path) -> None:
    program = (
        "import sys; from pipeline.cli import main\n"
        f"code = main(['check', {str(manifest)!r}, '--jobs', '1'])\n"
        "sys.exit(code or bool({'torch', 'monai', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
