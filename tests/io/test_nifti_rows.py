"""Rows N01 to N15: headers, values and places of NIfTI files."""

import gzip
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, GeometryError
from pipeline.io import Reading, kind_of, read_header, read_image, read_label

# untyped on purpose: nibabel annotates some of its functions and not others
nibabel: Any = importlib.import_module("nibabel")
AFFINE = np.array([[0, -2.0, 0, 5], [0.5, 0, 0, -7], [0, 0, 3.0, 11], [0, 0, 0, 1]])
ARRAY = np.arange(4 * 3 * 5, dtype=np.int16).reshape(4, 3, 5) - 30


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


def two_forms(path: Path, by: float) -> Path:
    moved = AFFINE.copy()
    moved[2, 3] += by
    image = nibabel.Nifti1Image(ARRAY, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(moved, 1)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.hdr", "a.img", "A.NII.GZ"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_n01_single_files_and_pairs_of_either_byte_order_are_read(
    name: str, order: str, tmp_path: Path
) -> None:
    header = nibabel.Nifti1Header(endianness=order)
    kind = nibabel.Nifti1Pair if name[-3:] in ("hdr", "img") else nibabel.Nifti1Image
    image = kind(ARRAY.astype(f"{order}i2"), AFFINE, header)
    image.to_filename(tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    assert kind_of(tmp_path / name) == "nifti"
    volume = read_image(tmp_path / name)
    assert np.array_equal(volume.array, ARRAY)
    assert volume.affine == pytest.approx(AFFINE)
    assert volume.warnings == ()
    assert read_header(tmp_path / name).shape == (4, 3, 5)


def test_n01_a_packed_pair_is_read_and_half_of_one_is_refused(tmp_path: Path) -> None:
    nibabel.Nifti1Pair(ARRAY, AFFINE).to_filename(tmp_path / "a.img.gz")
    assert np.array_equal(read_image(tmp_path / "a.hdr.gz").array, ARRAY)
    (tmp_path / "a.img.gz").unlink()
    with pytest.raises(DataError, match=r"no a\.img beside it"):
        read_image(tmp_path / "a.hdr.gz")


def test_n01_nifti_2_several_gzip_members_and_extensions_are_read(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(ARRAY, AFFINE), tmp_path / "two.nii.gz")
    data = raw_bytes()
    (tmp_path / "members.nii.gz").write_bytes(
        b"".join(gzip.compress(part) for part in (data[:100], data[100:380], data[380:]))
    )
    image = nibabel.Nifti1Image(ARRAY, AFFINE)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 5000))
    nibabel.save(image, tmp_path / "extended.nii.gz")
    for name in ("two", "members", "extended"):
        volume = read_image(tmp_path / f"{name}.nii.gz")
        assert np.array_equal(volume.array, ARRAY)
        assert volume.warnings == ()
        assert volume.array.flags.writeable


@pytest.mark.parametrize(
    "kind", ["uint8", "int8", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
)
def test_n02_every_type_keeps_its_values(kind: str, tmp_path: Path) -> None:
    top = {"f": 1.5, "i": np.iinfo(kind).max if kind[0] != "f" else 0}.get(np.dtype(kind).kind)
    values = np.array([0, 1, 100, top or np.iinfo(kind).max], kind).reshape(4, 1, 1)
    array = read_image(put(tmp_path / "a.nii", raw_bytes(values))).array
    assert array.astype(np.longdouble) == pytest.approx(values.astype(np.longdouble), rel=1e-6)


def test_n02_large_labels_do_not_die_in_float32(tmp_path: Path) -> None:
    values = np.array([0, 2**24 + 1], np.uint64).reshape(2, 1, 1)
    assert read_label(put(tmp_path / "a.nii", raw_bytes(values))).array.max() == 2**24 + 1


def test_n04_a_sheared_sform_is_right(tmp_path: Path) -> None:
    sheared = AFFINE.copy()
    sheared[0, 2] = 0.7
    nibabel.save(nibabel.Nifti1Image(ARRAY, sheared), tmp_path / "a.nii.gz")
    assert read_image(tmp_path / "a.nii.gz").affine == pytest.approx(sheared)


@pytest.mark.parametrize("one", ["sform_code", "qform_code"])
def test_n05_either_form_alone_is_right(one: str, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ARRAY, AFFINE)
    image.set_sform(AFFINE, int(one == "sform_code"))
    image.set_qform(AFFINE, int(one == "qform_code"))
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_image(tmp_path / "a.nii", reading=Reading(unplaced=False))
    assert volume.affine == pytest.approx(AFFINE, abs=1e-5)
    assert volume.warnings == ()


def test_n06_forms_that_contradict_each_other_are_refused_unless_one_is_chosen(
    tmp_path: Path,
) -> None:
    path = two_forms(tmp_path / "a.nii", 6.0)
    with pytest.raises(GeometryError, match=r"2\.00 voxels apart") as error:
        read_image(path)
    assert "--affine sform" in error.value.hint
    sform = read_image(path, reading=Reading(affine="sform")).affine
    qform = read_image(path, reading=Reading(affine="qform")).affine
    assert sform == pytest.approx(AFFINE)
    assert qform is not None
    assert qform[2, 3] == pytest.approx(17)
    assert read_image(two_forms(path, 0.2)).affine == pytest.approx(AFFINE)


def test_n07_a_file_without_a_place_is_refused_where_the_place_matters(tmp_path: Path) -> None:
    path = put(tmp_path / "a.nii", raw_bytes(sform_code=0, qform_code=0))
    with pytest.raises(GeometryError, match="no place") as error:
        read_image(path, reading=Reading(unplaced=False))
    assert "--affine pixdim" in error.value.hint
    for reading in (None, Reading(affine="pixdim", unplaced=False)):
        volume = read_image(path, reading=reading)
        assert volume.affine is not None
        assert volume.affine @ [1.5, 1, 2, 1] == pytest.approx([0, 0, 0, 1])
        assert "pixdim" in volume.warnings[0]
    with pytest.raises(GeometryError, match="no qform"):
        read_image(path, reading=Reading(affine="qform"))


@pytest.mark.parametrize(
    "fields",
    [
        {"srow_x": [0, 0, 0, 0]},
        {"srow_y": [np.nan, 0, 0, 0]},
        {"srow_x": [0.5, 0, 0, 0]},
        {"sform_code": 0, "qform_code": 1, "pixdim": [1, 0, 1, 1, 0, 0, 0, 0]},
    ],
)
def test_n08_a_flat_or_undefined_place_is_refused(fields: Any, tmp_path: Path) -> None:
    with pytest.raises(GeometryError):
        read_image(put(tmp_path / "a.nii", raw_bytes(**fields)))


@pytest.mark.parametrize(("slope", "inter", "value"), [(2, 5, 25), (0, 7, 10), (0.5, 0, 5)])
def test_n09_the_scale_is_applied_and_a_slope_of_0_means_none(
    slope: float, inter: float, value: float, tmp_path: Path
) -> None:
    array = np.full((2, 2, 2), 10, np.int16)
    path = put(tmp_path / "a.nii", raw_bytes(array, scl_slope=slope, scl_inter=inter))
    assert (read_image(path).array == value).all()


def test_n10_a_slope_of_nan_means_none_and_is_told(tmp_path: Path) -> None:
    path = put(tmp_path / "a.nii", raw_bytes(scl_slope=np.nan, scl_inter=np.nan))
    volume = read_image(path)
    assert np.array_equal(volume.array, ARRAY)
    assert "NaN" in volume.warnings[0]


@pytest.mark.parametrize(("slope", "inter"), [(2, np.nan), (np.inf, 0), (1, np.inf)])
def test_n11_a_scale_that_is_no_number_is_refused(
    slope: float, inter: float, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="scl_slope"):
        read_image(put(tmp_path / "a.nii", raw_bytes(scl_slope=slope, scl_inter=inter)))


def test_n12_trailing_axes_of_one_are_dropped(tmp_path: Path) -> None:
    for shape in ((4, 3, 5, 1), (4, 3, 5, 1, 1)):
        path = put(tmp_path / "a.nii", raw_bytes(ARRAY.reshape(shape)))
        assert read_image(path).array.shape == (4, 3, 5)
        assert read_label(path).array.shape == (4, 3, 5)


def test_n13_four_axes_are_channels_of_an_image_and_refused_as_a_label(tmp_path: Path) -> None:
    path = put(tmp_path / "a.nii", raw_bytes(np.zeros((4, 3, 5, 2), np.uint8)))
    assert read_image(path).array.shape == (4, 3, 5, 2)
    with pytest.raises(DataError, match="2 channels"):
        read_label(path)


@pytest.mark.parametrize("kind", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_n14_colour_and_complex_numbers_are_refused(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="colour or complex"):
        read_image(put(tmp_path / "a.nii", raw_bytes(np.zeros((2, 2, 2), kind))))


@pytest.mark.parametrize(("units", "factor"), [(1, 1000), (3, 0.001)])
def test_n15_other_units_become_mm_and_are_told(units: int, factor: float, tmp_path: Path) -> None:
    volume = read_image(put(tmp_path / "a.nii", raw_bytes(xyzt_units=units)))
    scaled = np.diag([factor, factor, factor, 1]) @ AFFINE
    assert volume.affine == pytest.approx(scaled)
    assert "not mm" in volume.warnings[0]
