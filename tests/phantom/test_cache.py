import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from pipeline.errors import ResourceError
from pipeline.io import read_image
from pipeline.phantom import Member, cache, cohort, draw_patient, ensure, render
from pipeline.phantom.cohort import VERSION

FEW = tuple(m for m in cohort() if m.id in ("phantom_001", "phantom_030"))

ASK = """
from pipeline.phantom import cache, cohort
cache.cohort = lambda: cohort()[-2:]
print(cache.ensure())
"""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and a phantom of one train and one test patient."""
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "cohort", lambda: FEW)
    return tmp_path / "cache"


def test_the_phantom_is_written_below_the_cache_under_its_version(small: Path) -> None:
    folder = ensure()
    assert folder.parent == small
    assert folder.name.startswith("phantom-")
    assert folder.name.removeprefix("phantom-").isdecimal()
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*.nii.gz")}
    assert files == {path for member in FEW for path in (member.image, member.label)}
    series = {p.parent.relative_to(folder).as_posix() for p in folder.rglob("*.dcm")}
    assert series == {"dicom/phantom_030"}


def test_the_files_hold_the_rendered_voxels(small: Path) -> None:
    folder = ensure()
    for member in FEW:
        wanted = render(draw_patient(member.seed))
        for path, voxels in ((member.image, wanted.image), (member.label, wanted.label)):
            stored = nibabel.load(folder / path)
            assert isinstance(stored, nibabel.Nifti1Image)
            found = np.asanyarray(stored.dataobj)
            assert found.dtype == voxels.dtype
            assert np.array_equal(found, voxels)
            assert np.array_equal(stored.affine, wanted.affine)


def test_the_dicom_series_is_the_nifti_scan(small: Path) -> None:
    folder = ensure()
    scan, series = (read_image(folder / p) for p in (FEW[1].image, "dicom/phantom_030"))
    assert scan.affine is not None
    assert series.affine is not None
    assert np.array_equal(series.array, scan.array)
    assert series.affine == pytest.approx(scan.affine, abs=1e-6)


def test_it_says_so_on_stderr_once_and_is_quiet_when_nothing_is_to_do(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure()
    first = capsys.readouterr()
    assert first.out == ""
    assert first.err.startswith("writing the phantom (2 patients) to")
    before = {p: p.stat().st_mtime_ns for p in small.rglob("*") if p.is_file()}
    ensure()
    assert capsys.readouterr() == ("", "")
    assert before == {p: p.stat().st_mtime_ns for p in small.rglob("*") if p.is_file()}


def test_two_processes_at_once_get_one_phantom_that_one_of_them_wrote(tmp_path: Path) -> None:
    environment = os.environ | {"UNETWORKS_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ASK],
            env=environment,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    assert len({out for out, _ in answers}) == 1
    assert sum(err.count("writing the phantom") for _, err in answers) == 1
    assert len(list(Path(answers[0][0].strip()).rglob("*.nii.gz"))) == 4


def test_an_interrupted_writing_leaves_no_folder_and_the_next_one_starts_anew(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cache.write_member

    def interrupted(member: Member, folder: Path) -> None:
        whole(member, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "write_member", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ensure()
    assert [p for p in small.iterdir() if p.is_dir()] == []
    monkeypatch.setattr(cache, "write_member", whole)
    assert len(list(ensure().rglob("*.nii.gz"))) == 4


def test_what_a_killed_process_left_is_swept_away(small: Path) -> None:
    left = small / f"phantom-{VERSION}.partial"
    (left / "images").mkdir(parents=True)
    (left / "images" / "stale.nii.gz").write_bytes(b"half")
    folder = ensure()
    assert not left.exists()
    assert not (folder / "images" / "stale.nii.gz").exists()


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="cannot be written") as caught:
        ensure()
    assert "UNETWORKS_CACHE" in caught.value.hint
