"""Rows D59 to D66: transfer syntaxes."""

import base64
import importlib
import importlib.metadata
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from pipeline.io import read_image

gdcm: Any = importlib.import_module("gdcm")
Make = Callable[..., list[Any]]
JPEG = "1.2.840.10008.1.2.4."
IMPLICIT, EXPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2", ".1.99"))
RLE = "1.2.840.10008.1.2.5"
LOSSLESS = [IMPLICIT, EXPLICIT, BIG, DEFLATED, RLE, *(f"{JPEG}{n}" for n in (57, 70, 80, 90))]
ROWS = dict(zip(LOSSLESS, ["d59"] * 4 + ["d60", "d62", "d62", "d63", "d64"], strict=True))


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


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    mixture=st.lists(st.sampled_from(LOSSLESS), min_size=3, max_size=3),
    sign=st.booleans(),
    seed=st.integers(0, 999),
)
def test_any_mixture_of_lossless_syntaxes_and_signs_is_exact(
    tmp_path_factory: pytest.TempPathFactory,
    make_slices: Make,
    mixture: list[str],
    sign: bool,
    seed: int,
) -> None:
    values = np.random.default_rng(seed).integers(-1024, 3000, (40, 36, 3)).astype(np.int16)
    folder = tmp_path_factory.mktemp("mixture")
    slices = signed(make_slices(values), values) if sign else make_slices(values)
    for index, syntax in enumerate(mixture):
        packed(slices[index : index + 1], syntax, folder)
    assert np.array_equal(read_image(written(folder / "ct", slices)).array, values)


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
