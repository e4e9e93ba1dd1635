import io
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from pipeline.errors import DataError, ResourceError
from pipeline.manifests import archive
from pipeline.manifests.archive import list_members
from pipeline.manifests.archive_extract import extract

FILES = {"set/images/a.txt": b"first", "set/images/b.txt": b"", "set/readme": b"read me"}


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def unpacked(
    path: Path, folder: Path, root: str | None = None, into: str | None = None
) -> set[str]:
    extract(path, list_members(path, root, into), folder, quiet=True)
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_archives_give_their_files_and_nothing_of_a_mac(tmp_path: Path, kind: str) -> None:
    files = FILES | {
        "__MACOSX/set/._a.txt": b"x",
        "set/images/._a.txt": b"x",
        "set/.DS_Store": b"x",
    }
    path = tmp_path / f"set.{kind}"
    if kind == "zip":
        write_zip(path, files)
    else:
        write_tar(path, files, "w:gz" if kind == "tar.gz" else "w")
    assert unpacked(path, tmp_path / "out") == set(FILES)
    assert (tmp_path / "out/set/images/a.txt").read_bytes() == b"first"
    assert unpacked(path, tmp_path / "root", root="set/images", into="train") == {
        "train/a.txt",
        "train/b.txt",
    }


@pytest.mark.parametrize(
    "name", ["../evil", "set/../../evil", "/etc/evil", "C:/evil", "set\\..\\evil", "a\nb"]
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_path_that_leaves_the_folder_is_refused_before_anything_is_written(
    tmp_path: Path, kind: str, name: str
) -> None:
    files = {"good": b"x", name: b"x"}
    path = tmp_path / f"set.{kind}"
    write_zip(path, files) if kind == "zip" else write_tar(path, files)
    with pytest.raises(DataError, match="would leave the folder"):
        unpacked(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "special file"),
        (tarfile.BLKTYPE, "special file"),
        (tarfile.FIFOTYPE, "special file"),
        (tarfile.GNUTYPE_SPARSE, "special file"),
    ],
)
def test_links_and_devices_of_a_tar_are_refused(tmp_path: Path, kind: bytes, word: str) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("set/x")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(DataError, match=f"'set/x' is a {word}"):
        list_members(path)
    with pytest.raises(
        DataError, match="no file below other"
    ):  # what is not wanted is not looked at
        list_members(path, root="other")


def test_links_of_a_zip_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="'x' is a link"):
        list_members(tmp_path / "set.zip")


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"x": b"secret"})
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="encrypted"):
        list_members(path)


@pytest.mark.parametrize("names", [("a", "a"), ("a/B", "a/b"), ("x", "x/y")])
def test_names_that_collide_on_some_disk_are_refused(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(DataError, match=r"there twice|below a file"):
        list_members(path)


def test_what_is_no_archive_or_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>log in</html>")
    with pytest.raises(DataError, match="neither tar nor zip"):
        list_members(tmp_path / "page.zip")
    whole = write_tar(tmp_path / "set.tar.gz", {"a": bytes(range(256)) * 400}, "w:gz")
    whole.write_bytes(whole.read_bytes()[:-50])
    with pytest.raises(DataError, match="damaged"):
        unpacked(whole, tmp_path / "out")
    flipped = write_zip(tmp_path / "set.zip", {"a": b"content" * 9})
    raw = bytearray(flipped.read_bytes())
    raw[raw.index(b"content")] ^= 255
    flipped.write_bytes(raw)
    with pytest.raises(DataError, match=r"damaged.*CRC"):
        unpacked(flipped, tmp_path / "out")
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_the_number_of_members_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBERS", 2)
    with pytest.raises(DataError, match="over 2 members"):
        list_members(write_zip(tmp_path / "set.zip", FILES))


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(archive, "MOST_RATIO", 100)
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(1 << 21))
    with pytest.raises(DataError, match="would become 2097152"):
        list_members(tmp_path / "set.zip")


def test_space_is_looked_at_before_a_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(11))
    path = write_zip(tmp_path / "set.zip", FILES)
    with pytest.raises(ResourceError, match="GB to extract"):
        unpacked(path, tmp_path / "out")
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_interrupted_extraction_writes_only_what_is_missing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"set.{kind}"
    write_zip(path, FILES) if kind == "zip" else write_tar(path, FILES)
    unpacked(path, tmp_path / "out")
    kept = tmp_path / "out/set/readme"
    before = kept.stat().st_mtime_ns, kept.stat().st_ino
    shutil.rmtree(tmp_path / "out/set/images")
    assert unpacked(path, tmp_path / "out") == set(FILES)
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == before
