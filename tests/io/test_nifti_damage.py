"""Rows N16 to N25 and D110: damage, labels, grids."""

import gzip
import importlib
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, GeometryError
from pipeline.io import read_image, read_label, to_grid

# untyped on purpose: nibabel annotates some of its functions and not others
nibabel: Any = importlib.import_module("nibabel")
AFFINE = np.array([[0, -2.0, 0, 5], [0.5, 0, 0, -7], [0, 0, 3.0, 11], [0, 0, 0, 1]])
ARRAY = np.arange(4 * 3 * 5, dtype=np.int16).reshape(4, 3, 5) - 30
NOISE = np.random.default_rng(0).integers(-999, 999, (16, 16, 16)).astype(np.int16)


def raw_bytes(array: Any = ARRAY, **fields: Any) -> bytes:
    """A single-file NIfTI with the header fields as given."""
    header: Any = nibabel.Nifti1Image(array, AFFINE, dtype=array.dtype).header
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header["scl_slope"], header["scl_inter"] = 1, 0
    for name, value in fields.items():
        header[name] = value
    return b"".join([header.binaryblock, b"\0" * 4, array.tobytes("F")])


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def flipped(label: Any) -> tuple[Any, Any]:
    """The same label map on the mirrored, swapped grid over the same box."""
    array = np.swapaxes(label[:, ::-1], 0, 2)
    turn = np.zeros((4, 4))
    turn[2, 0] = turn[0, 2] = turn[3, 3] = 1
    turn[1, 1], turn[1, 3] = -1, label.shape[1] - 1
    return np.ascontiguousarray(array), AFFINE @ turn


@pytest.mark.parametrize("keep", [0, 3, 20, 300, 4000, -100, -9, -8, -4, -1])
def test_n16_a_file_cut_anywhere_is_refused(keep: int, tmp_path: Path) -> None:
    for name in ("a.nii", "b.nii.gz"):
        path = put(tmp_path / name, raw_bytes(NOISE))
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            read_image(path)


@pytest.mark.parametrize("place", [-1, -5, -8, -2000])
def test_n16_a_wrong_check_sum_or_length_is_refused(place: int, tmp_path: Path) -> None:
    path = put(tmp_path / "a.nii.gz", raw_bytes(NOISE))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"gzip|cut off"):
        read_image(path)


def test_n17_bytes_that_follow_are_told(tmp_path: Path) -> None:
    plain = put(tmp_path / "a.nii", raw_bytes() + b"xyz")
    packed = put(tmp_path / "b.nii.gz", raw_bytes() + b"xyz")
    rubbish = put(tmp_path / "c.nii.gz", raw_bytes())
    rubbish.write_bytes(rubbish.read_bytes() + b"rubbish")
    zeros = put(tmp_path / "d.nii.gz", raw_bytes())
    zeros.write_bytes(zeros.read_bytes() + b"\0" * 512)
    for path, note in (
        (plain, "3 bytes after the last voxel"),
        (packed, "3 bytes after the last voxel"),
        (rubbish, "bytes of no gzip after the stream"),
    ):
        volume = read_image(path)
        assert np.array_equal(volume.array, ARRAY)
        assert volume.warnings == (note,)
    assert read_image(zeros).warnings == ()  # padding, as tapes have it


def test_n17_a_stream_far_longer_than_its_header_says_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(raw_bytes() + bytes(64 << 20), 1))
    with pytest.raises(DataError, match="after the last voxel"):
        read_image(path)


@pytest.mark.parametrize(
    "dim",
    [
        [3, 32767, 32767, 32767, 1, 1, 1, 1],
        [3, 4, -3, 5, 1, 1, 1, 1],
        [0, 4, 3, 5, 1, 1, 1, 1],
        [9, 4, 3, 5, 1, 1, 1, 1],
        [7, 32767, 32767, 32767, 32767, 32767, 32767, 32767],
    ],
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_n18_impossible_sizes_are_refused_before_anything_is_allocated(
    dim: list[int], name: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"dimensions|needs"):
        read_image(put(tmp_path / name, raw_bytes(dim=dim)))


@pytest.mark.parametrize("offset", [0, 16, 1e9, np.nan])
def test_n19_voxels_that_begin_where_they_cannot_are_refused(offset: float, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"begin at byte|needs"):
        read_image(put(tmp_path / "a.nii", raw_bytes(vox_offset=offset)))


def test_n20_wrong_magic_and_unknown_types_are_refused_and_bitpix_ignored(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="magic"):
        read_image(put(tmp_path / "a.nii", raw_bytes(magic=b"abc")))
    with pytest.raises(DataError, match="unknown datatype 9999"):
        read_image(put(tmp_path / "a.nii", raw_bytes(datatype=9999)))
    path = put(tmp_path / "a.nii", raw_bytes(bitpix=64))
    assert np.array_equal(read_image(path).array, ARRAY)


def test_n21_the_content_counts_not_the_name_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(raw_bytes())
    (tmp_path / "b.nii").write_bytes(gzip.compress(raw_bytes()))
    for name, note in (("a.nii.gz", "not packed as named"), ("b.nii", "against its name")):
        volume = read_image(tmp_path / name)
        assert np.array_equal(volume.array, ARRAY)
        assert note in volume.warnings[0]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_n22_odd_numbers_are_kept_and_counted(odd: float, tmp_path: Path) -> None:
    array = np.ones((2, 2, 2), np.float32)
    array[0, 0] = odd
    volume = read_image(put(tmp_path / "a.nii", raw_bytes(array)))
    assert (~np.isfinite(volume.array)).sum() == 2
    assert volume.warnings == ("2 of 8 voxels are NaN or infinite",)


@pytest.mark.parametrize("value", [0.5, 1.002, np.nan])
def test_n23_a_label_between_whole_numbers_is_refused_with_its_value(
    value: float, tmp_path: Path
) -> None:
    path = put(tmp_path / "a.nii", raw_bytes(np.array([0, value]).reshape(2, 1, 1)))
    with pytest.raises(DataError, match=f"label value {value:g}"):
        read_label(path)
    good = np.array([0, 2.0004], np.float32).reshape(2, 1, 1)
    assert read_label(put(path, raw_bytes(good))).array.ravel().tolist() == [0, 2]


def test_n24_a_scaled_label_is_scaled_then_judged(tmp_path: Path) -> None:
    array = np.array([0, 2, 4], np.uint8).reshape(3, 1, 1)
    path = put(tmp_path / "a.nii", raw_bytes(array, scl_slope=0.5))
    assert read_label(path).array.ravel().tolist() == [0, 1, 2]
    with pytest.raises(DataError, match=r"label value 0\.5"):
        read_label(put(path, raw_bytes(array, scl_slope=0.25)))


def test_d110_a_label_on_the_mirrored_grid_is_brought_to_its_image(tmp_path: Path) -> None:
    label = (np.arange(60).reshape(4, 3, 5) % 7).astype(np.uint8)
    array, affine = flipped(label)
    nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / "a.nii")
    volume = to_grid(read_label(tmp_path / "a.nii"), AFFINE, (4, 3, 5))
    assert np.array_equal(volume.array, label)
    assert volume.affine == pytest.approx(AFFINE)
    assert "axes turned" in volume.warnings[0]


@pytest.mark.parametrize(("by", "fits"), [(0.0, True), (0.2, True), (0.4, False)])
def test_n25_a_label_a_tenth_of_a_voxel_away_is_another_grid(
    by: float, fits: bool, tmp_path: Path
) -> None:
    moved = AFFINE.copy()
    moved[2, 3] += by
    nibabel.save(nibabel.Nifti1Image(ARRAY, moved), tmp_path / "a.nii")
    label = read_label(tmp_path / "a.nii")
    if fits:
        assert np.array_equal(to_grid(label, AFFINE, (4, 3, 5)).array, ARRAY)
    else:
        with pytest.raises(GeometryError, match="another grid"):
            to_grid(label, AFFINE, (4, 3, 5))


def test_the_check_holds_without_isal_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "isal", None)
    path = put(tmp_path / "a.nii.gz", raw_bytes(NOISE))
    assert np.array_equal(read_image(path).array, NOISE)
    data = path.read_bytes()
    path.write_bytes(data[:-8] + struct.pack("<I", zlib.crc32(b"")) + data[-4:])
    with pytest.raises(DataError, match="gzip"):
        read_image(path)
