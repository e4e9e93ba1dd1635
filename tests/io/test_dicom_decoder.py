"""Rows D67 to D69 and D93: what is not decoded, decoders' limits, licences."""

import importlib
import importlib.metadata
import io
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from pipeline.errors import DataError, ResourceError
from pipeline.io import read_header, read_image
from pipeline.io.dicom import codecs, decode

gdcm: Any = importlib.import_module("gdcm")
Make = Callable[..., list[Any]]
JPEG = "1.2.840.10008.1.2.4."
IMPLICIT, EXPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2", ".1.99"))
RLE = "1.2.840.10008.1.2.5"
NEVER_ANSWERS = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture
def hu() -> Any:
    """As elsewhere, but large enough for wavelets: i + 10 j is only right for i < 10."""
    i, j, k = np.meshgrid(range(40), range(36), range(3), indexing="ij")
    return np.asarray(i + 40 * j + 5 * k - 1000, np.int16)


def encapsulated(one: Any, syntax: str, frames: list[bytes], fragments: int = 1) -> Any:
    one.file_meta.TransferSyntaxUID = UID(syntax)
    one.PixelData = encapsulate(frames, fragments_per_frame=fragments)
    one["PixelData"].is_undefined_length = True
    one["PixelData"].VR = "OB"
    return one


def through_gdcm(one: Any, syntax: str, folder: Path) -> Any:
    one.save_as(folder / "native.dcm")
    reader, change, writer = (
        gdcm.ImageReader(),
        gdcm.ImageChangeTransferSyntax(),
        gdcm.ImageWriter(),
    )
    reader.SetFileName(str(folder / "native.dcm"))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(folder / "packed.dcm"))
    assert writer.Write()
    stream = dcmread(folder / "packed.dcm")
    one.file_meta.TransferSyntaxUID = UID(syntax)
    one.PixelData = stream.PixelData
    one["PixelData"].is_undefined_length = True
    return one


def packed(slices: list[Any], syntax: str, folder: Path) -> list[Any]:
    for one in slices:
        if syntax in (f"{JPEG}57", f"{JPEG}70", f"{JPEG}51"):
            through_gdcm(one, syntax, folder)
        elif syntax in (RLE, f"{JPEG}80", f"{JPEG}90"):
            one.compress(UID(syntax), generate_instance_uid=False)
        else:
            one.file_meta.TransferSyntaxUID = UID(syntax)
            if syntax == BIG:
                one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()
    return slices


def written(folder: Path, slices: list[Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, one in enumerate(slices):
        syntax = one.file_meta.TransferSyntaxUID
        dcmwrite(
            folder / f"{9 - number}",
            one,
            implicit_vr=syntax.is_implicit_VR,
            little_endian=syntax.is_little_endian,
            force_encoding=True,
        )
    return folder


@pytest.mark.parametrize("syntax", [f"{JPEG}102", f"{JPEG}94", "1.2.3.4.5"])
def test_d67_what_no_decoder_reads_is_refused_with_its_uid(
    syntax: str, tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    slices = [encapsulated(one, syntax, [b"abcd"]) for one in make_slices(hu)]
    (tmp_path / "ct").mkdir()
    for number, one in enumerate(slices):
        one.save_as(tmp_path / "ct" / str(number), implicit_vr=False, little_endian=True)
    with pytest.raises(DataError, match=syntax.replace(".", r"\.")):
        read_image(tmp_path / "ct")


@pytest.mark.parametrize("syntax", [RLE, f"{JPEG}57", f"{JPEG}80", f"{JPEG}90"])
def test_d68_a_corrupt_code_stream_is_refused_with_its_file(
    syntax: str, tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    slices = packed(make_slices(hu), syntax, tmp_path)
    data = bytearray(slices[1].PixelData)
    data[20 : len(data) - 8] = bytes(len(data) - 28)
    slices[1].PixelData = bytes(data)
    folder = written(tmp_path / "ct", slices)
    with pytest.raises(DataError, match=r"/8: pixels cannot be decoded"):
        read_image(folder)
    read_header(folder)


@pytest.mark.parametrize("syntax", [RLE, f"{JPEG}57", f"{JPEG}80", f"{JPEG}90"])
def test_d68_a_code_stream_of_another_size_is_refused(
    syntax: str, tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    slices = packed(make_slices(hu), syntax, tmp_path)
    for one in slices:
        one.Rows = 30
    with pytest.raises(DataError, match=r"decoded|/7:"):
        read_image(written(tmp_path / "ct", slices))


def test_d68_pixels_cut_off_in_the_code_stream_are_refused(
    tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    folder = written(tmp_path / "ct", packed(make_slices(hu), f"{JPEG}90", tmp_path))
    whole = (folder / "8").read_bytes()
    for keep in (-1, -8, -9, -40, -200):
        (folder / "8").write_bytes(whole[:keep])
        with pytest.raises(DataError, match=r"/8: "):
            read_image(folder)


def test_d69_a_syntax_that_is_wrong_or_absent_is_seen_through(
    tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    folder = written(tmp_path / "ct", packed(make_slices(hu), IMPLICIT, tmp_path))
    for file in folder.iterdir():
        # the same length: the trailing zero of the shorter UID makes room
        data = file.read_bytes()
        at = data.index(b"1.2.840.10008.1.2\0")
        file.write_bytes(data[:at] + b"1.2.840.10008.1.20"[:17] + b"\0" + data[at + 18 :])
    assert np.array_equal(read_image(folder).array, hu)
    explicit = written(tmp_path / "explicit", make_slices(hu))
    for file in explicit.iterdir():
        data = file.read_bytes()
        at = data.index(b"\x02\0\x10\0UI")
        length = 8 + struct.unpack_from("<H", data, at + 6)[0]
        end = struct.unpack_from("<I", data, 140)[0] - length
        file.write_bytes(data[:140] + struct.pack("<I", end) + data[144:at] + data[at + length :])
    assert np.array_equal(read_image(explicit).array, hu)


@pytest.mark.parametrize(("told", "true"), [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)])
def test_d69_a_header_that_says_another_encoding_than_its_data_set_is_seen_through(
    told: str, true: str, tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    folder = tmp_path / "ct"
    folder.mkdir()
    for number, one in enumerate(make_slices(hu)):
        buffer, body = io.BytesIO(), io.BytesIO()
        one.file_meta.TransferSyntaxUID = UID(told)
        one.save_as(buffer, implicit_vr=told == IMPLICIT, little_endian=True)
        one.file_meta.TransferSyntaxUID = UID(true)
        one.save_as(body, implicit_vr=true == IMPLICIT, little_endian=True)
        meta = buffer.getvalue()
        end = 144 + struct.unpack_from("<I", meta, 140)[0]
        data = body.getvalue()
        start = 144 + struct.unpack_from("<I", data, 140)[0]
        (folder / str(number)).write_bytes(meta[:end] + data[start:])
    assert np.array_equal(read_image(folder).array, hu)


def test_d93_a_decoder_that_hangs_is_ended_and_the_file_refused(
    tmp_path: Path, hu: Any, make_slices: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "ct", packed(make_slices(hu), RLE, tmp_path))
    monkeypatch.setattr(decode, "FRAME_LIMIT_S", 0.3)
    monkeypatch.setattr(decode, "COMMAND", NEVER_ANSWERS)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"the decoder took over 0\.3 s"):
        read_image(folder)
    assert time.monotonic() - start < 20


def test_d93_a_decoder_that_dies_is_told_and_the_program_lives_on(
    tmp_path: Path, hu: Any, make_slices: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "ct", packed(make_slices(hu), RLE, tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(decode, "COMMAND", (sys.executable, "-c", "import os; os.abort()"))
        with pytest.raises(DataError, match="the decoder broke down"):
            read_image(folder)
    assert np.array_equal(read_image(folder).array, hu)


def test_d93_a_decoder_that_needs_too_much_memory_is_refused(
    tmp_path: Path, hu: Any, make_slices: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "ct", packed(make_slices(hu), RLE, tmp_path))
    hungry = (
        "import sys; import pipeline.io.dicom.worker as w; "
        "w._decode = lambda request, stream: bytearray(1 << 40); w.main()"
    )
    monkeypatch.setattr(decode, "COMMAND", (sys.executable, "-P", "-c", hungry))
    with pytest.raises(ResourceError, match="memory"):
        read_image(folder)


def test_a_decoder_that_is_not_installed_is_named(
    tmp_path: Path, hu: Any, make_slices: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "ct", packed(make_slices(hu), RLE, tmp_path))
    monkeypatch.setattr(codecs, "_plugins", lambda decoder: [])
    with pytest.raises(DataError, match=f"no decoder for transfer syntax {RLE}") as error:
        read_image(folder)
    assert error.value.hint == "pip install pylibjpeg-rle"


def test_no_package_under_the_gpl_is_installed_or_asked_for() -> None:
    names = {package.metadata["Name"].lower() for package in importlib.metadata.distributions()}
    assert "pylibjpeg-libjpeg" not in names
    needs = " ".join(importlib.metadata.requires("unetworks") or ())
    assert "libjpeg" not in needs.replace("pylibjpeg-", "").replace("pylibjpeg", "")
    assert {name for name, _ in codecs.PLUGINS.values()} == {"gdcm", "pyjpegls", "pylibjpeg"}
    packages = {package for _, package in codecs.PLUGINS.values()}
    assert "pylibjpeg-libjpeg" not in packages
