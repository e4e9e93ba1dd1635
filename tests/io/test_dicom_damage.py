"""Rows D83 to D91: damage, bombs, odd headers."""

import errno
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from pipeline.errors import DataError
from pipeline.io import read_image

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Placed = Callable[..., bool]
BOMBS = [
    {"Rows": 0},
    {"Rows": 6},
    {"Rows": 65535, "Columns": 65535},
    {"NumberOfFrames": "2000000000"},
]


@pytest.fixture
def folder(tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save) -> Path:
    return save_slices(tmp_path / "ct", make_slices(hu))


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
