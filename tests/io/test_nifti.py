import gzip
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, InvalidValueError
from pipeline.io import read_header, read_image, read_label, write_nifti

PROPERTY = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# untyped on purpose: nibabel annotates some of its functions and not others
nibabel: Any = importlib.import_module("nibabel")
AFFINE = np.array([[0, -2.0, 0, 5], [0.5, 0, 0, -7], [0, 0, 3.0, 11], [0, 0, 0, 1]])


def raw_nifti(path: Path, array: Any, **fields: Any) -> Path:
    """A file with the header fields as given, which nibabel would not write itself."""
    image = nibabel.Nifti1Image(array, AFFINE, dtype=array.dtype)
    header = image.header
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header["scl_slope"], header["scl_inter"] = 1, 0
    for name, value in fields.items():
        header[name] = value
    data = header.binaryblock + b"\0" * 4 + array.tobytes("F")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@st.composite
def affines(draw: st.DrawFn) -> Any:
    number = st.floats(-1, 1)
    quaternion = np.array([1.5 + draw(number), draw(number), draw(number), draw(number)])
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    size = np.diag([draw(st.floats(0.3, 5)) for _ in range(3)])
    flip = np.diag([draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)])
    shear = np.eye(3)
    shear[0, 2] = draw(st.sampled_from([0.0, 0.2, -0.3]))
    affine = np.eye(4)
    affine[:3, :3] = turn @ shear @ size @ flip
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return affine


@PROPERTY
@given(affine=affines())
def test_n03_every_probe_voxel_keeps_its_world_point_and_value(
    tmp_path_factory: pytest.TempPathFactory, affine: Any
) -> None:
    array = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    path = tmp_path_factory.mktemp("nifti") / "scan.nii.gz"
    write_nifti(path, array, affine)
    volume = read_image(path)
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, array)
    assert volume.warnings == ()
    assert volume.affine is not None
    other = nibabel.load(path)
    for index in ((0, 0, 0, 1), (3, 0, 0, 1), (0, 4, 0, 1), (0, 0, 5, 1), (3, 4, 5, 1)):
        point = affine @ index
        assert volume.affine @ index == pytest.approx(point, abs=1e-3)
        assert other.affine @ index == pytest.approx(point, abs=1e-3)


def test_both_forms_have_code_1_and_nothing_is_carried_along(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    write_nifti(path, np.ones((2, 3, 4), np.uint8), AFFINE)
    header = nibabel.load(path).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_qform() == pytest.approx(AFFINE, abs=1e-5)
    assert header.get_xyzt_units()[0] == "mm"
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        assert bytes(header[name]).strip(b"\0") == b""


def test_a_sheared_affine_goes_into_the_sform_only(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    sheared = AFFINE.copy()
    sheared[0, 2] = 0.5
    write_nifti(path, np.ones((2, 3, 4), np.uint8), sheared)
    header = nibabel.load(path).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)
    affine = read_image(path).affine
    assert affine == pytest.approx(sheared)


@pytest.mark.parametrize(
    ("given_type", "stored"),
    [
        ("bool", "uint8"),
        ("uint8", "uint8"),
        ("int16", "int16"),
        ("uint16", "uint16"),
        ("int64", "int32"),
        ("float16", "float32"),
        ("float64", "float64"),
    ],
)
def test_types_are_stored_as_given_where_nifti_has_them(
    given_type: str, stored: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.nii.gz"
    write_nifti(path, np.eye(3, dtype=given_type)[..., None], AFFINE)
    assert read_header(path).dtype == stored


def test_equal_arrays_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, np.ones((4, 4, 4), np.uint8), AFFINE)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a.png", np.zeros((2, 2, 2))),
        ("a.nii", np.zeros((2, 2))),
        ("a.nii", np.full((1, 1, 1), 2**40)),
    ],
)
def test_what_nifti_cannot_hold_is_refused_and_leaves_no_file(
    name: str, array: Any, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValueError):
        write_nifti(tmp_path / name, array, AFFINE)
    assert list(tmp_path.iterdir()) == []


def test_channels_come_last(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 4 * 2, dtype=np.int16).reshape(2, 3, 4, 2)
    write_nifti(tmp_path / "a.nii.gz", array, AFFINE)
    assert np.array_equal(read_image(tmp_path / "a.nii.gz").array, array)
    assert np.array_equal(np.asarray(nibabel.load(tmp_path / "a.nii.gz").dataobj), array)
    header = read_header(tmp_path / "a.nii.gz")
    assert (header.shape, header.channels) == ((2, 3, 4), 2)


def test_trailing_axes_of_one_are_dropped_and_five_axes_refused(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4, 1, 1)
    assert read_image(raw_nifti(tmp_path / "a.nii", array)).array.shape == (2, 3, 4)
    with pytest.raises(DataError, match="2x3x2x1x2"):
        read_image(raw_nifti(tmp_path / "b.nii", array.reshape(2, 3, 2, 1, 2)))


@pytest.mark.parametrize(
    ("slope", "inter", "expected", "dtype"),
    [
        (2.0, -1000.0, -980.0, "int16"),
        (0.5, 0.25, 5.25, "float32"),
        (0.0, 7.0, 10.0, "int16"),
        (np.nan, np.nan, 10.0, "int16"),
        (5000.0, 0.0, 50000.0, "int32"),
    ],
)
def test_the_scale_is_applied_and_zero_or_nan_means_none(
    slope: float, inter: float, expected: float, dtype: str, tmp_path: Path
) -> None:
    array = np.full((2, 2, 2), 10, np.int16)
    path = raw_nifti(tmp_path / "a.nii.gz", array, scl_slope=slope, scl_inter=inter)
    volume = read_image(path)
    assert volume.array.dtype == dtype
    assert (volume.array == expected).all()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([-1024.0, 3000.0]), "int16"),
        (np.array([0.0, 40000.0]), "int32"),
        (np.array([0.5, 1.0], np.float32), "float32"),
        (np.array([0.1, 1.0]), "float32"),
        (np.array([1e300, 1.5]), "float64"),
        (np.array([0, 2**31], np.uint32), "float32"),
    ],
)
def test_whole_values_become_integers_and_others_the_smallest_float(
    values: Any, dtype: str, tmp_path: Path
) -> None:
    array = values.reshape(2, 1, 1)
    volume = read_image(raw_nifti(tmp_path / "a.nii", array))
    assert volume.array.dtype == dtype
    assert volume.array.astype(float) == pytest.approx(array.astype(float), rel=1e-6)


def test_big_endian_and_nifti_2_are_read(tmp_path: Path) -> None:
    array = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    big = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(array, AFFINE, big), tmp_path / "big.nii.gz")
    nibabel.save(nibabel.Nifti2Image(array.astype("<i2"), AFFINE), tmp_path / "two.nii.gz")
    for name in ("big.nii.gz", "two.nii.gz"):
        volume = read_image(tmp_path / name)
        assert np.array_equal(volume.array, array)
        assert volume.array.dtype.isnative
        assert volume.affine == pytest.approx(AFFINE)


def test_the_qform_counts_without_sform_and_pixdim_without_both(tmp_path: Path) -> None:
    array = np.zeros((3, 4, 5), np.uint8)
    image = nibabel.Nifti1Image(array, None)
    image.header.set_qform(AFFINE, code=1)
    nibabel.save(image, tmp_path / "q.nii")
    assert read_image(tmp_path / "q.nii").affine == pytest.approx(AFFINE, abs=1e-5)
    path = raw_nifti(tmp_path / "none.nii", array, sform_code=0, qform_code=0)
    volume = read_image(path)
    assert volume.spacing == pytest.approx((0.5, 2.0, 3.0))
    assert volume.affine is not None
    assert volume.affine @ [1, 1.5, 2, 1] == pytest.approx([0, 0, 0, 1])
    assert "pixdim" in volume.warnings[0]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([0.0, 2.0], np.float32), "uint8"),
        (np.array([0.0, 1.0005]), "uint8"),
        (np.array([0, 255], np.int16), "uint8"),
        (np.array([0, 256], np.int32), "uint16"),
        (np.array([0, 2**24 + 1], np.uint64), "int32"),
        (np.array([-1, 1], np.int16), "int32"),
    ],
)
def test_labels_are_the_smallest_integers(values: Any, dtype: str, tmp_path: Path) -> None:
    volume = read_label(raw_nifti(tmp_path / "a.nii.gz", values.reshape(2, 1, 1)))
    assert volume.array.dtype == dtype
    assert volume.array.ravel().tolist() == np.rint(values).astype(int).tolist()


def test_a_label_of_several_channels_needs_to_be_asked_for(tmp_path: Path) -> None:
    path = raw_nifti(tmp_path / "a.nii.gz", np.zeros((2, 2, 2, 3), np.uint8))
    with pytest.raises(DataError, match="3 channels"):
        read_label(path)
    assert read_label(path, channels=True).array.shape == (2, 2, 2, 3)


def test_probabilities_can_be_stored_as_scaled_bytes(tmp_path: Path) -> None:
    path = tmp_path / "p.nii.gz"
    write_nifti(path, np.array([0, 51, 255], np.uint8).reshape(3, 1, 1), AFFINE, slope=1 / 255)
    assert read_image(path).array.ravel() == pytest.approx([0, 0.2, 1])
