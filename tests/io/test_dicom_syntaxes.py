"""Rows D59 to D69 and D93: transfer syntaxes, decoders and their limits."""

import base64
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
import SimpleITK
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from pipeline.errors import DataError, ResourceError
from pipeline.io import read_header, read_image
from pipeline.io.dicom import codecs, decode

gdcm: Any = importlib.import_module("gdcm")
Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Placed = Callable[..., bool]
JPEG = "1.2.840.10008.1.2.4."
IMPLICIT, EXPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2", ".1.99"))
RLE = "1.2.840.10008.1.2.5"
# 24 x 20 pixels, 500 + column + 24 row, written by OpenJPH
HTJ2K = {
    "reversible": (
        "/0//UQApQAAAAAAYAAAAFAAAAAAAAAAAAAAAGAAAABQAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgAB"
        "AAUEBEAB/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAIUA"
        "Af+TwAAmf/oFB3QAwAASwAASgOAAB3QAFAIHdACgAAkA3RIzAMAAE8AAEwAI/IT+S3UA3f4Dd1QAwAATQAAV"
        "oODcdPJ1AGq1Wq1W9AjeEIG+uADAACpgABa4APzz+AUpS+cArnPOOeecc+7/TAAAHv2AAHv2AAHsvwD/2Q=="
    ),
    "irreversible": (
        "/0//UQApQAAAAAAYAAAAFAAAAAAAAAAAAAAAGAAAABQAAAAAAAAAAAABDwEB/1AACAACAAAAKv9SAAwAAgAB"
        "AAUEBEAA/1wAIyK3GLbqtuq2vK8ArwCu4qdMp0ynZJADkAOQRpfSl9KXYf9kABcAAU9wZW5KUEggVmVyIDAu"
        "MjYuMy7/kAAKAAAAAAC2AAH/k8AAAThRMeEIB3QAwAABLAAAEwCMAYd0AF7hBAd0AMAAAkgAAEwAS3QAp6cA"
        "QjQAwAAFTAAAVgA8swxwt2T5tgD6rl5X3/0AAAN+tgDAABUQAAW+APzcKOnidgACCCCAAAII8P9//wcLg8HC"
        "YAGe8nueU8lNoBok0L4AoAALqQAqSZIk6ZiHedAxjznmMcc85pjHHPMP8gAAAp0wAAp0wAApu+teteo0Af/Z"
    ),
}


@pytest.fixture
def hu() -> Any:
    """As elsewhere, but large enough for wavelets: i + 10 j is only right for i < 10."""
    i, j, k = np.meshgrid(range(40), range(36), range(3), indexing="ij")
    return np.asarray(i + 40 * j + 5 * k - 1000, np.int16)


def signed(slices: list[Any], hu: Any) -> list[Any]:
    for k, one in enumerate(slices):
        one.PixelRepresentation, one.BitsStored, one.HighBit = 1, 16, 15
        one.RescaleIntercept = 0
        one.PixelData = np.ascontiguousarray(hu[:, :, k].T).astype("<i2").tobytes()
    return slices


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


LOSSLESS = [IMPLICIT, EXPLICIT, BIG, DEFLATED, RLE, *(f"{JPEG}{n}" for n in (57, 70, 80, 90))]
ROWS = dict(zip(LOSSLESS, ["d59"] * 4 + ["d60", "d62", "d62", "d63", "d64"], strict=True))


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


@pytest.mark.parametrize("sign", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=[f"{ROWS[s]}-{s}" for s in LOSSLESS])
def test_d59_d60_d62_d63_d64_lossless_syntaxes_are_exact(
    syntax: str, sign: bool, tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    slices = signed(make_slices(hu), hu) if sign else make_slices(hu)
    volume = read_image(written(tmp_path / "ct", packed(slices, syntax, tmp_path)))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, hu)
    assert volume.warnings == ()


def test_d59_bytes_in_big_endian_words_are_not_swapped(tmp_path: Path, make_slices: Make) -> None:
    values = np.arange(7 * 5 * 2).reshape(7, 5, 2)
    for vr in ("OW", "OB"):
        slices = make_slices(np.zeros((7, 5, 2), np.int16), RescaleIntercept=0)
        for k, one in enumerate(slices):
            one.BitsAllocated, one.BitsStored, one.HighBit = 8, 8, 7
            data = values[:, :, k].T.astype(np.uint8).tobytes() + b"\0"
            if vr == "OW":
                data = np.frombuffer(data, "u2").byteswap().tobytes()
            one.PixelData = data
            one["PixelData"].VR = vr
            one.file_meta.TransferSyntaxUID = UID(BIG)
        assert np.array_equal(read_image(written(tmp_path / vr, slices)).array, values)


def test_d61_jpeg_baseline_is_the_decoders_value_and_told(
    tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    slices = make_slices(hu, RescaleIntercept=0)
    grey = (np.arange(40 * 36).reshape(36, 40) % 200).astype(np.uint8)
    for one in slices:
        one.BitsAllocated, one.BitsStored, one.HighBit = 8, 8, 7
        stream = io.BytesIO()
        Image.fromarray(grey).save(stream, "JPEG", quality=90)
        encapsulated(one, f"{JPEG}50", [stream.getvalue()])
    volume = read_image(written(tmp_path / "ct", slices))
    expected = np.asarray(Image.open(stream)).T
    assert np.array_equal(volume.array, np.repeat(expected[..., None], 3, axis=2))
    assert "lossy" in volume.warnings[0]


def test_d61_jpeg_extended_with_12_bits_is_what_another_reader_finds(
    tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    folder = written(tmp_path / "ct", packed(make_slices(hu), f"{JPEG}51", tmp_path))
    volume = read_image(folder)
    assert np.abs(volume.array.astype(int) - hu).max() < 40
    assert "lossy" in volume.warnings[0]
    for number in range(3):
        other = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / str(9 - number))))
        assert np.array_equal(volume.array[..., number], other[0].T)


def test_d63_near_lossless_jpeg_ls_is_near_and_told(
    tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    jpeg_ls: Any = importlib.import_module("jpeg_ls")
    slices = make_slices(hu)
    for one in slices:
        stored = one.pixel_array
        stream = jpeg_ls.encode_array(stored, lossy_error=2)
        encapsulated(one, f"{JPEG}81", [bytes(stream)])
    volume = read_image(written(tmp_path / "ct", slices))
    assert 0 < np.abs(volume.array.astype(int) - hu).max() <= 2
    assert "lossy" in volume.warnings[0]


def test_d64_lossy_jpeg_2000_is_told(tmp_path: Path, hu: Any, make_slices: Make) -> None:
    slices = make_slices(hu)
    for one in slices:
        one.compress(UID(f"{JPEG}91"), j2k_cr=[3], generate_instance_uid=False)
    volume = read_image(written(tmp_path / "ct", slices))
    assert np.abs(volume.array.astype(int) - hu).mean() < 30
    assert "lossy" in volume.warnings[0]


def test_d64_an_unsigned_code_stream_of_signed_pixels_is_signed(
    tmp_path: Path, make_slices: Make
) -> None:
    # values that an unsigned code stream of 16 bits holds as complements of two
    values = np.arange(-200, 1240, dtype=np.int16).reshape(40, 36)[..., None]
    one = signed(make_slices(values), values)[0]
    one.PixelRepresentation = 0
    one.compress(UID(f"{JPEG}90"), generate_instance_uid=False)
    one.PixelRepresentation = 1
    assert np.array_equal(read_image(written(tmp_path / "ct", [one])).array, values)


def test_d64_pydicoms_own_example_of_the_mismatch_is_read_as_it_says(tmp_path: Path) -> None:
    file = get_testdata_file("J2K_pixelrep_mismatch.dcm")
    dataset = dcmread(str(file))
    volume = read_image(str(file))
    stored = dataset.pixel_array.astype(float).T
    expected = stored * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    assert volume.array[..., 0] == pytest.approx(expected)
    assert volume.array.min() < 0


@pytest.mark.parametrize(
    ("end", "kind"), [("201", "reversible"), ("202", "reversible"), ("203", "irreversible")]
)
def test_d65_high_throughput_jpeg_2000_is_read(
    end: str, kind: str, tmp_path: Path, make_slices: Make
) -> None:
    slices = make_slices(np.zeros((24, 20, 2), np.int16), RescaleIntercept=0)
    for one in slices:
        encapsulated(one, f"{JPEG}{end}", [base64.b64decode(HTJ2K[kind])])
    array = read_image(written(tmp_path / "ct", slices)).array
    expected = 500 + np.arange(24)[:, None] + 24 * np.arange(20)
    assert np.abs(np.subtract(array, expected[..., None])).max() <= (
        0 if kind == "reversible" else 1
    )


def test_d66_fragments_are_joined_and_syntaxes_may_be_mixed(
    tmp_path: Path, hu: Any, make_slices: Make
) -> None:
    slices = make_slices(hu)
    packed(slices[:2], f"{JPEG}90", tmp_path)
    stream = base64.b64encode(b"")  # no more than a start
    for one in slices[:1]:
        offset = one.PixelData.index(b"\xff\x4f\xff\x51")
        stream = one.PixelData[offset:]
        encapsulated(one, f"{JPEG}90", [stream], fragments=4)
    packed(slices[2:], RLE, tmp_path)
    folder = written(tmp_path / "ct", slices)
    assert np.array_equal(read_image(folder).array, hu)


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


NEVER_ANSWERS = (sys.executable, "-c", "import time; time.sleep(60)")


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


def test_no_package_under_the_gpl_is_installed_or_asked_for() -> None:
    names = {package.metadata["Name"].lower() for package in importlib.metadata.distributions()}
    assert "pylibjpeg-libjpeg" not in names
    needs = " ".join(importlib.metadata.requires("unetworks") or ())
    assert "libjpeg" not in needs.replace("pylibjpeg-", "").replace("pylibjpeg", "")
    assert {name for name, _ in codecs.PLUGINS.values()} == {"gdcm", "pyjpegls", "pylibjpeg"}
    packages = {package for _, package in codecs.PLUGINS.values()}
    assert "pylibjpeg-libjpeg" not in packages
