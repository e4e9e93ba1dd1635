import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import RLELossless

from pipeline.errors import DataError, GeometryError
from pipeline.io import kind_of, read_header, read_image, read_label

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
# the fixtures hold no state that one example could leave to the next
PROPERTY = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def rotation(angles: tuple[float, float, float]) -> Any:
    x, y, z = angles
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def test_hu_and_world_points_are_exact_whatever_the_files_are_called(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    volume = read_image(save_slices(tmp_path / "ct", make_slices(hu)))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, hu)
    assert volume.modality == "CT"
    assert volume.warnings == ()
    assert volume.affine is not None
    # LPS (-10, 20, -30) is RAS (10, -20, -30); a column is .5 mm, a row .75 mm, a slice 2 mm
    assert volume.affine @ [0, 0, 0, 1] == pytest.approx([10, -20, -30, 1])
    assert volume.affine @ [2, 4, 3, 1] == pytest.approx([9, -23, -24, 1])


@PROPERTY
@given(angles=st.tuples(*[st.floats(-3, 3)] * 3), thick=st.floats(0.5, 8))
def test_any_orientation_keeps_every_world_point(
    tmp_path_factory: pytest.TempPathFactory,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
    angles: tuple[float, float, float],
    thick: float,
) -> None:
    turned = rotation(angles)
    row, column, normal = turned[:, 0], turned[:, 1], turned[:, 2]
    slices = make_slices(hu, row=tuple(row), column=tuple(column), spacing=(0.5, 0.75, thick))
    volume = read_image(save_slices(tmp_path_factory.mktemp("ct"), slices))
    assert volume.affine is not None
    for i, j, k in ((0, 0, 0), (6, 0, 0), (0, 4, 0), (0, 0, 5), (6, 4, 5)):
        lps = np.array([-10, 20, -30]) + row * i * 0.5 + column * j * 0.75 + normal * k * thick
        ras = lps * [-1, -1, 1]
        index = np.rint(np.linalg.inv(volume.affine) @ [*ras, 1])[:3].astype(int)
        assert volume.array[tuple(index)] == hu[i, j, k]
        assert (volume.affine @ [*index, 1])[:3] == pytest.approx(ras, abs=1e-4)


def test_a_tilted_series_keeps_its_shear_and_says_so(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for k, one in enumerate(slices):
        one.ImagePositionPatient = [-10.0, 20.0 + 0.5 * k, -30.0 + 2.0 * k]
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert volume.affine is not None
    assert volume.affine @ [0, 0, 4, 1] == pytest.approx([10, -22, -22, 1])
    assert "14.04 degrees" in volume.warnings[0]


def test_each_slice_has_its_own_rescale(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    slices[2].RescaleSlope, slices[2].RescaleIntercept = 0.5, 10
    array = read_image(save_slices(tmp_path / "ct", slices)).array
    assert array.dtype == np.float32
    assert np.array_equal(array[..., 1], hu[..., 1])
    assert np.array_equal(array[..., 2], (hu[..., 2].astype(float) + 1024) * 0.5 + 10)


def shift(index: int, axis: int, by: float) -> Callable[[list[Any]], None]:
    def apply(slices: list[Any]) -> None:
        place = [float(value) for value in slices[index].ImagePositionPatient]
        place[axis] += by
        slices[index].ImagePositionPatient = place

    return apply


def setting(index: int, name: str, value: Any) -> Callable[[list[Any]], None]:
    return lambda slices: setattr(slices[index], name, value)


def without_rescale(slices: list[Any]) -> None:
    del slices[1].RescaleSlope, slices[1].RescaleIntercept


def dropping(index: int, name: str) -> Callable[[list[Any]], None]:
    return lambda slices: delattr(slices[index], name)


@pytest.mark.parametrize(
    ("damage", "fact"),
    [
        (lambda slices: slices.pop(2), "a gap of 4.000 mm"),
        (shift(5, 2, 0.5), "a gap of 2.500 mm"),
        (shift(3, 2, -0.3), "mm apart"),
        (shift(3, 0, 0.4), "off the line"),
        (shift(3, 2, -2.0), "lie at one place"),
        (dropping(1, "ImagePositionPatient"), "no ImagePositionPatient"),
        (dropping(0, "ImageOrientationPatient"), "no ImageOrientationPatient"),
        (dropping(4, "PixelSpacing"), "no PixelSpacing"),
        (setting(0, "PixelSpacing", [0.0, 0.5]), "PixelSpacing"),
        (setting(2, "PixelSpacing", [0.7, 0.5]), "PixelSpacing"),
        (setting(2, "ImageOrientationPatient", [0, 1, 0, 0, 0, 1]), "orientation differs by 1"),
        (setting(0, "ImageOrientationPatient", [1, 0, 0, 0.5, 0.866, 0]), "degrees apart"),
        (setting(0, "ImageOrientationPatient", [2, 0, 0, 0, 1, 0]), "lengths"),
        (setting(0, "Rows", 6), "pixels"),
    ],
)
def test_a_series_that_is_no_even_grid_is_refused_with_the_number(
    damage: Callable[[list[Any]], None],
    fact: str,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
) -> None:
    slices = make_slices(hu)
    damage(slices)
    folder = save_slices(tmp_path / "ct", slices)
    with pytest.raises(GeometryError, match=fact):
        read_image(folder)
    with pytest.raises(GeometryError, match=fact):
        read_header(folder)


@pytest.mark.parametrize(("by", "spacing"), [(0.009, 0.5), (0.04, 5.0)])
def test_rounded_positions_are_right_and_silent(
    by: float, spacing: float, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, spacing=(1.0, 1.0, spacing))
    shift(2, 2, by)(slices)
    assert read_image(save_slices(tmp_path / "ct", slices)).warnings == ()


def test_several_series_are_listed_on_one_line_and_picked_by_number_or_uid(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    late = make_slices(hu, series="1.2.3", SeriesTime="1300", SeriesDescription='Thx "lung"')
    early = make_slices(hu[..., :4] + 1, series="1.2.4")
    save_slices(tmp_path / "ct", late, prefix="a")
    folder = save_slices(tmp_path / "ct", early, prefix="b")
    listing = '2 series: [1] CT 7x5x4 "Abd 2.0"; [2] CT 7x5x6 "Thx \'lung\'"'
    with pytest.raises(DataError) as error:
        read_image(folder)
    assert error.value.line() == f"{folder}: {listing}; choose with --series N"
    assert np.array_equal(read_image(folder, series=1).array, hu[..., :4] + 1)
    assert np.array_equal(read_image(folder, series="2").array, hu)
    assert np.array_equal(read_image(folder, series="1.2.4").array, hu[..., :4] + 1)
    assert read_header(folder, series="1.2.3").shape == (7, 5, 6)
    with pytest.raises(DataError, match="no series 3") as error:
        read_image(folder, series=3)
    assert listing in error.value.line()


def test_scouts_reports_and_junk_are_left_out_and_counted(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu))
    scout = make_slices(hu[..., :1], series="1.2.8", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    save_slices(folder, scout, prefix="scout")
    report = make_slices(hu[..., :1], series="1.2.7", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    for name in ("PixelData", "Rows", "Columns"):
        delattr(report[0], name)
    save_slices(folder, report, prefix="report")
    (folder / "Thumbs.db").write_bytes(b"nothing")
    volume = read_image(folder)
    assert np.array_equal(volume.array, hu)
    assert volume.warnings == (
        "1 DICOM files without pixels left out",
        "1 images of 1 other series left out",
    )


def test_an_empty_file_named_like_the_slices_is_a_lost_slice(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu))
    (folder / "99").touch()
    with pytest.raises(DataError, match="0 bytes"):
        read_image(folder)


def test_a_series_without_uids_is_read_with_a_warning(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu, SeriesInstanceUID="", StudyInstanceUID="")
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert np.array_equal(volume.array, hu)
    assert "SeriesInstanceUID" in volume.warnings[0]


def test_a_ct_without_rescale_is_not_called_hu(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        del one.RescaleSlope, one.RescaleIntercept
    volume = read_image(save_slices(tmp_path / "ct", slices))
    assert np.array_equal(volume.array, hu + 1024)
    assert "not HU" in volume.warnings[0]


@pytest.mark.parametrize(
    ("damage", "fact"),
    [
        (setting(2, "RescaleSlope", 0), "rescale slope 0"),
        (without_rescale, "no rescale, while"),
        (setting(0, "PatientID", "another"), "2 patients"),
        (setting(0, "FrameOfReferenceUID", "1.7"), "2 frames of reference"),
        (setting(0, "NumberOfFrames", 2), "several frames"),
        (setting(0, "PhotometricInterpretation", "PALETTE COLOR"), "colour"),
        (setting(0, "SamplesPerPixel", 3), "colour"),
        (setting(0, "HighBit", 15), "highest bit 15"),
        (setting(3, "PixelData", b"\0" * 20), "pixels cannot be read"),
        (dropping(3, "PixelData"), "pixels cannot be read"),
        (dropping(3, "Rows"), "breaks off"),
    ],
)
def test_pixels_that_cannot_be_trusted_are_refused(
    damage: Callable[[list[Any]], None],
    fact: str,
    tmp_path: Path,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
) -> None:
    slices = make_slices(hu)
    damage(slices)
    folder = save_slices(tmp_path / "ct", slices)
    with pytest.raises(DataError, match=fact):
        read_image(folder)


def test_a_matrix_larger_than_its_file_is_refused_unread(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu, Rows=65535, Columns=65535))
    with pytest.raises(DataError, match="need 8589672450 bytes"):
        read_image(folder)


def test_a_compression_without_a_decoder_names_what_to_install(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    for one in slices:
        one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"  # MPEG-4
        one["PixelData"].is_undefined_length = True
        one.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x02\0\0\0ab"
    with pytest.raises(DataError, match=r"1\.2\.840\.10008\.1\.2\.4\.102"):
        read_image(save_slices(tmp_path / "ct", slices))


def test_a_decoder_that_is_not_installed_is_named(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydicom.pixels.decoders.base import Decoder

    slices = make_slices(hu)
    slices[3].compress(RLELossless, generate_instance_uid=False)
    folder = save_slices(tmp_path / "ct", slices)
    assert np.array_equal(read_image(folder).array, hu)
    monkeypatch.setattr(Decoder, "is_available", False)
    monkeypatch.setattr(Decoder, "missing_dependencies", ["gdcm"])
    with pytest.raises(DataError, match="no decoder") as error:
        read_image(folder)
    assert "gdcm" in error.value.hint


def test_files_without_preamble_are_slices_too(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu))
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[132:])
    assert np.array_equal(read_image(folder).array, hu)


@pytest.mark.parametrize("keep", [*range(0, 740, 30), -90, -70, -1])
def test_a_cut_slice_is_refused_by_its_name(
    keep: int, tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu))
    (folder / "3").write_bytes((folder / "3").read_bytes()[:keep])
    with pytest.raises(DataError, match="/3: "):
        read_image(folder)


def test_one_file_is_one_slice_as_deep_as_its_thickness(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu[..., :1]))
    volume = read_image(folder / "0")
    assert volume.spacing == pytest.approx((0.5, 0.75, 5.0))
    assert "a single slice" in volume.warnings[0]


def test_the_header_has_the_grid_without_the_pixels(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    del slices[2].PixelData
    header = read_header(save_slices(tmp_path / "ct", slices))
    assert header.shape == (7, 5, 6)
    assert header.spacing == pytest.approx((0.5, 0.75, 2.0))
    assert (header.channels, header.dtype, header.modality) == (1, "uint16", "CT")


def test_a_dicom_folder_is_no_label_yet(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    folder = save_slices(tmp_path / "ct", make_slices(hu))
    assert kind_of(folder) == kind_of(folder / "0") == "dicom"
    with pytest.raises(DataError, match="not read yet"):
        read_label(folder)


def test_a_real_jpeg_2000_series_without_uids_lies_on_its_label_map() -> None:
    root = os.environ.get("UNETWORKS_DATA", "")
    folder = Path(root) / "torso_ct"
    if not root or not folder.is_dir():
        pytest.skip("UNETWORKS_DATA names no folder with torso_ct")
    volume = read_image(folder / "example_ct_dicom")
    assert volume.array.shape == (512, 512, 20)
    assert (volume.array.min(), volume.array.max()) == (-1024, 1839)
    label = read_label(folder / "example_seg_dicom.nii.gz")
    assert volume.affine is not None
    assert label.affine is not None
    between = np.linalg.inv(label.affine) @ volume.affine
    # the label map's rows run the other way: a pure mirror, as the set's own notes say
    assert between[:3] == pytest.approx(np.array([[1, 0, 0, 0], [0, -1, 0, 511], [0, 0, 1, 0]]))
    assert volume.array[label.array[:, ::-1] == 5].mean() == pytest.approx(89, abs=0.5)
