"""Rows D78 to D92: files, containers, damage, privacy."""

import errno
import io
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
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


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


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


@pytest.mark.parametrize("keep", [*range(0, 740, 23), -90, -70, -1])
def test_d83_d84_d85_a_cut_slice_is_refused_by_its_name(keep: int, folder: Path) -> None:
    (folder / "3").write_bytes((folder / "3").read_bytes()[:keep])
    with pytest.raises(DataError, match="/3: "):
        read_image(folder)


def test_d83_pixels_short_of_the_matrix_with_a_consistent_length_are_refused(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    slices[2].PixelData = slices[2].PixelData[:40]
    with pytest.raises(DataError, match="7x5 pixels need 70 bytes, the file has 40 of 40"):
        read_image(save_slices(tmp_path / "ct", slices))


@pytest.mark.parametrize("keep", [150, 200, 260, 300, 340, 380])
def test_d84_a_header_cut_at_any_place_is_no_junk_whatever_its_name(
    keep: int, folder: Path
) -> None:
    shutil.copy(folder / "3", folder / "something else.bin")
    data = (folder / "3").read_bytes()
    (folder / "something else.bin").write_bytes(data[:keep])
    with pytest.raises(DataError, match="something else"):
        read_image(folder)


@pytest.mark.parametrize(
    ("pattern", "stump"), [("{}", "17"), ("IM{:04d}.dcm", "x.dcm"), ("a{}.1.b", "a9.1.b")]
)
@pytest.mark.parametrize("content", [b"", bytes(900)], ids=["empty", "zeros"])
def test_d85_an_empty_file_named_like_the_slices_is_a_lost_slice(
    pattern: str, stump: str, content: bytes, tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    for number, one in enumerate(make_slices(hu)):
        dcmwrite(tmp_path / pattern.format(number), one)
    (tmp_path / stump).write_bytes(content)
    with pytest.raises(DataError, match="named like a slice"):
        read_image(tmp_path)


@pytest.mark.parametrize(("extra", "told"), [(2, 0), (14, 0), (16, 1), (700, 1)])
def test_d86_extra_bytes_after_the_pixels_are_told_from_a_row_on(
    extra: int, told: int, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    slices[2].PixelData += b"\xab" * extra
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert np.array_equal(volume.array, hu)
    assert len(volume.warnings) == told


def test_d86_a_padding_element_at_the_end_is_silent(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        one.add_new(0xFFFCFFFC, "OB", b"\0" * 500)
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert np.array_equal(volume.array, hu)
    assert volume.warnings == ()


BOMBS = [
    {"Rows": 0},
    {"Rows": 6},
    {"Rows": 65535, "Columns": 65535},
    {"NumberOfFrames": "2000000000"},
]


@pytest.mark.parametrize("attributes", BOMBS, ids=str)
def test_d87_impossible_sizes_are_refused_within_a_small_memory(
    attributes: dict[str, Any], tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu, **attributes))
    code = (
        "import resource, sys, numpy, pydicom.uid; from pipeline.io.dicom import read_dicom; "
        "from pipeline.errors import DataError\n"
        "limit = int(open('/proc/self/statm').read().split()[0]) * 4096 + (200 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try:\n    read_dicom(sys.argv[1])\nexcept DataError as error:\n    print('refused', error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("refused"), done.stderr
    assert resource.RLIM_INFINITY == -1


def test_d88_private_sequences_and_icons_do_not_matter(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        icon = Dataset()
        icon.Rows, icon.Columns, icon.BitsAllocated, icon.SamplesPerPixel = 2, 2, 8, 1
        icon.add_new(0x7FE00010, "OB", b"\1\2\3\4")
        one.IconImageSequence = Sequence([icon])
        one["IconImageSequence"].is_undefined_length = True
        deep = Dataset()
        deep.add_new(0x00090010, "LO", "SOMEONE")
        deep.add_new(0x00091002, "SQ", Sequence([icon]))
        deep[0x00091002].is_undefined_length = True
        one.add_new(0x00090010, "LO", "SOMEONE")
        one.add_new(0x00091001, "SQ", Sequence([deep, deep]))
        one[0x00091001].is_undefined_length = True
        deep.is_undefined_length_sequence_item = True
    folder = save_slices(tmp_path / "ct", slices)
    assert np.array_equal(read_image(folder).array, hu)
    for file in folder.iterdir():
        dataset = dcmread(file)
        dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2")
        dcmwrite(file, dataset, implicit_vr=True, little_endian=True, force_encoding=True)
    assert np.array_equal(read_image(folder).array, hu)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
        (b"GB18030", "王^小东".encode("gb18030")),
        (b"ISO_IR 100", b"\xff\xfe\x1b\x1b wrong \x80"),
        (b"NO SUCH SET ", b"Someone"),
    ],
)
def test_d89_text_never_stops_a_scan(
    character_set: bytes, name: bytes, folder: Path, is_placed: Placed
) -> None:
    def element(tag: int, vr: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value

    for file in folder.iterdir():
        data = file.read_bytes()
        first = data.index(b"\x08\x00\x08\x00CS")
        patient = data.index(b"\x10\x00\x20\x00LO")
        file.write_bytes(
            data[:first]
            + element(0x00080005, b"CS", character_set)
            + data[first:patient]
            + element(0x00100010, b"PN", name)
            + data[patient:]
        )
    volume = read_image(folder)
    assert is_placed(volume)
    assert volume.warnings == ()


def test_d90_pixels_of_16_bits_may_be_called_bytes(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        one["PixelData"].VR = "OB"
    assert np.array_equal(read_image(save_slices(tmp_path / "ct", slices)).array, hu)


def test_d91_nothing_to_read_is_refused(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("hello")
    report = make_slices(hu[..., :1], SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    for name in ("PixelData", "Rows", "Columns"):
        delattr(report[0], name)
    save_slices(tmp_path / "report", report)
    for name, fact in (
        ("empty", "an empty folder"),
        ("text", "no DICOM file inside"),
        ("report", "no DICOM image inside"),
        ("absent", "no such file or folder"),
    ):
        with pytest.raises(DataError, match=fact):
            read_image(tmp_path / name)


def test_a_file_that_may_not_be_read_is_refused_and_no_junk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = os.open

    def denied(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        # as the system would for a user who is not root
        if str(path).endswith("/ct/3"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return usual(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(DataError, match="/3: cannot be read"):
        read_image(folder)


def test_refusals_come_at_once(tmp_path: Path, hu: Any, make_slices: Make) -> None:
    path = tmp_path / "0"
    dcmwrite(path, make_slices(hu, NumberOfFrames="2147483648")[0])
    start = time.process_time()
    with pytest.raises(DataError):
        read_image(path)
    assert time.process_time() - start < 5
