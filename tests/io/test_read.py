import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, ResourceError
from pipeline.io import (
    atomic_path,
    kind_of,
    left_drafts,
    locked,
    made_folder,
    read_header,
    read_image,
    read_label,
    write_nifti,
)


def test_reading_starts_without_torch_and_without_its_own_heavy_parts() -> None:
    code = (
        "import sys, pipeline.io, pipeline.figures; "
        "heavy = 'torch monai mlflow pydicom nibabel SimpleITK PIL matplotlib'.split(); "
        "print(sorted(set(heavy) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_a_volume_needs_no_torch(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii.gz", np.zeros((2, 2, 2), np.uint8), np.eye(4))
    code = (
        "import sys, pipeline.io as io; io.read_image(sys.argv[1]); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.nii.gz")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("read", [read_image, read_label, read_header])
def test_what_cannot_be_read_is_one_line_with_the_path_as_given(
    read: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("notes").mkdir()
    Path("notes/a.txt").write_text("hello")
    Path("empty.bin").touch()
    Path("scan.nii.gz").write_text("no gzip, no header")
    assert callable(read)
    for path, fact in (
        ("absent.nii.gz", "no such file"),
        ("folder", "an empty folder"),
        ("notes", "no DICOM file|a DICOM label is"),
        ("notes/a.txt", "neither NIfTI"),
        ("empty.bin", "an empty file"),
        ("scan.nii.gz", "no NIfTI header"),
    ):
        with pytest.raises(DataError, match=fact) as error:
            read(path)
        assert error.value.line().startswith(f"{path}: ")
        assert "\n" not in error.value.line()


def test_kinds_are_told_by_content_and_absent_paths_have_none(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "no_suffix").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert kind_of(tmp_path / "a.nii.gz") == "nifti"
    assert kind_of(tmp_path / "no_suffix") == "picture"
    assert kind_of(tmp_path) is None
    assert kind_of(tmp_path / "absent") is None


def write_half(target: Path, error: BaseException) -> None:
    with atomic_path(target) as draft:
        draft.write_text("half")
        raise error


def test_an_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with atomic_path(target) as draft:
        assert draft.parent == target.parent
        assert draft.suffix == ".txt"
        draft.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    with pytest.raises(KeyboardInterrupt):
        write_half(target, KeyboardInterrupt())
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ResourceError, match="no space"):
        write_half(target, OSError(errno.ENOSPC, "No space left on device"))
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_a_file_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"), atomic_path(tmp_path / "file/a.txt"):
        pass


def test_a_cache_that_cannot_be_written_says_where_to_put_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    for attempt in (made_folder, lambda path: locked(path).__enter__()):
        with pytest.raises(DataError, match="cannot be written") as caught:
            attempt(tmp_path / "file" / "choices" / "a.json")
        assert caught.value.hint == "set UNETWORKS_CACHE to another folder"


def test_only_drafts_of_processes_that_have_ended_are_left_ones(tmp_path: Path) -> None:
    name = "a" * 80 + ".nii.gz"
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    with atomic_path(tmp_path / name) as alive:
        alive.touch()
        left = alive.with_name(f".{ended.pid:06x}00{alive.name[9:]}")
        left.touch()
        assert list(left_drafts(tmp_path / name)) == [left]
