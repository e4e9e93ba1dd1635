"""Rows D78 to D82: junk, containers, DICOMDIR."""

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from pipeline.errors import DataError
from pipeline.io import kind_of, read_header, read_image

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Placed = Callable[..., bool]


@pytest.fixture
def folder(tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save) -> Path:
    return save_slices(tmp_path / "ct", make_slices(hu))


def test_a_preamble_that_begins_like_a_tiff_is_still_dicom(folder: Path, hu: Any) -> None:
    for file in folder.iterdir():
        file.write_bytes(b"II*\0" + file.read_bytes()[4:])
    assert kind_of(folder / "0") == kind_of(folder) == "dicom"
    assert np.array_equal(read_image(folder).array, hu)
    assert read_image(folder / "0").array.shape == (7, 5, 1)


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def medium(tmp_path: Path, hu: Any, make_slices: Make) -> Path:
    root = tmp_path / "medium"
    (root / "DICOM" / "S1").mkdir(parents=True)
    records = []
    for number, one in enumerate(make_slices(hu)):
        dcmwrite(root / "DICOM" / "S1" / f"IM{number}", one)
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = ["DICOM", "S1", f"IM{number}"]
        records.append(record)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.1.3.10")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.99")
    meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    directory = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    directory.FileSetID = "SCANS"
    directory.DirectoryRecordSequence = Sequence(records)
    dcmwrite(root / "DICOMDIR", directory)
    return root


def test_d78_junk_and_nested_folders_do_not_matter(folder: Path, is_placed: Placed) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    for name in ("1", "4"):
        (folder / name).rename(folder / "deep" / "er" / name)
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" + b"\0" * 6000)
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 600)
    (folder / "notes.txt").write_text("hello")
    (folder / "empty.txt").touch()
    volume = read_image(folder)
    assert is_placed(volume)
    assert volume.array.shape == (7, 5, 6)
    assert volume.warnings == ()


def test_d78_slices_only_in_subfolders_are_found(
    tmp_path: Path, folder: Path, is_placed: Placed
) -> None:
    assert kind_of(tmp_path) is None
    assert is_placed(read_image(tmp_path))


def test_links_that_loop_or_lead_nowhere_do_not_matter(folder: Path, is_placed: Placed) -> None:
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "nowhere").symlink_to(folder / "absent")
    (folder / "itself").symlink_to(folder / "itself")
    volume = read_image(folder)
    assert volume.array.shape == (7, 5, 6)
    assert is_placed(volume)


def test_a_pipe_in_the_folder_is_not_waited_for(folder: Path, is_placed: Placed) -> None:
    os.mkfifo(folder / "pipe")
    assert is_placed(read_image(folder))


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("keep_meta", [True, False])
def test_d79_files_without_preamble_are_slices_too(
    implicit: bool,
    keep_meta: bool,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    is_placed: Placed,
) -> None:
    for number, one in enumerate(make_slices(hu)):
        one.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2{'' if implicit else '.1'}")
        stream = io.BytesIO()
        dcmwrite(stream, one, implicit_vr=implicit, little_endian=True, force_encoding=True)
        data = stream.getvalue()
        start = 132 if keep_meta else data.index(b"\x08\0\x08\0")
        (tmp_path / str(number)).write_bytes(data[start:])
    assert is_placed(read_image(tmp_path))


def test_d80_a_zip_is_read_without_unpacking(
    tmp_path: Path, folder: Path, is_placed: Placed
) -> None:
    members = {f"a/b{file.name}/{file.name}": file.read_bytes() for file in folder.iterdir()}
    members |= {"a/.DS_Store": b"\0" * 9, "__MACOSX/a/._1": b"\0\5\26\7" * 9, "empty/": b""}
    path = zipped(tmp_path / "scan.zip", members)
    before = sorted(tmp_path.rglob("*"))
    assert kind_of(path) == "dicom"
    volume = read_image(path)
    assert is_placed(volume)
    assert volume.array.shape == (7, 5, 6)
    assert sorted(tmp_path.rglob("*")) == before
    assert read_header(path).shape == (7, 5, 6)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil"])
def test_d81_a_name_that_climbs_is_refused(name: str, tmp_path: Path, folder: Path) -> None:
    members = {file.name: file.read_bytes() for file in folder.iterdir()}
    path = zipped(tmp_path / "scan.zip", members | {name: b"x"})
    with pytest.raises(DataError, match="climbs out"):
        read_image(path)


def test_d81_a_bomb_is_refused_before_unpacking(tmp_path: Path) -> None:
    path = tmp_path / "scan.zip"
    zeros = bytes(64 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("0.dcm", zeros)
        first = archive.infolist()[0]
        for number in range(1, 96):
            # the directory names one stretch of bytes many times, as real bombs do
            info = zipfile.ZipInfo(f"{number}.dcm")
            for name in ("header_offset", "file_size", "compress_size", "CRC", "compress_type"):
                setattr(info, name, getattr(first, name))
            archive.filelist.append(info)
    with pytest.raises(DataError, match=f"{96 * (64 << 20)} bytes unpacked"):
        read_image(path)


def test_d81_a_member_longer_than_its_directory_says_is_refused(
    tmp_path: Path, folder: Path
) -> None:
    path = zipped(tmp_path / "scan.zip", {f.name: f.read_bytes() for f in folder.iterdir()})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    size = struct.unpack_from("<I", data, at + 24)[0]
    struct.pack_into("<I", data, at + 24, size - 40)
    path.write_bytes(data)
    with pytest.raises(DataError):
        read_image(path)


def test_an_encrypted_or_damaged_zip_is_refused(tmp_path: Path, folder: Path) -> None:
    path = zipped(tmp_path / "scan.zip", {f.name: f.read_bytes() for f in folder.iterdir()})
    whole = path.read_bytes()
    data = bytearray(whole)
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        read_image(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged zip"):
        read_image(path)


def test_d82_a_dicomdir_and_its_folder_are_read(medium: Path, is_placed: Placed) -> None:
    for path in (medium, medium / "DICOMDIR"):
        volume = read_image(path)
        assert volume.array.shape == (7, 5, 6)
        assert is_placed(volume)
        assert volume.warnings == ()


def test_d82_a_file_that_a_dicomdir_names_and_is_absent_is_refused(medium: Path) -> None:
    files = sorted(file for file in medium.rglob("*") if file.is_file() and file.name != "DICOMDIR")
    files[-1].unlink()
    for path in (medium, medium / "DICOMDIR"):
        with pytest.raises(DataError, match=files[-1].name):
            read_image(path)
