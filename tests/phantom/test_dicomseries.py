import math
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray

from pipeline.errors import GeometryError, InvalidValueError
from pipeline.phantom import write_series

# of the modules that a CT image must have (DICOM PS3.3, table A.3-1): attributes of type 1, which
# need a value, and of type 2, which may be empty
NEED_VALUE = """
    SOPClassUID SOPInstanceUID StudyInstanceUID Modality SeriesInstanceUID FrameOfReferenceUID
    ImageType SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored
    HighBit PixelRepresentation RescaleIntercept RescaleSlope PixelSpacing PixelData
    ImageOrientationPatient ImagePositionPatient PatientPosition SpecificCharacterSet
"""
NEED_PRESENCE = """
    PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID
    ReferringPhysicianName AccessionNumber SeriesNumber PositionReferenceIndicator Manufacturer
    InstanceNumber SliceThickness KVP AcquisitionNumber
"""

Volume = NDArray[np.int16]
Affine = NDArray[np.float64]


@pytest.fixture
def volume() -> Volume:
    """HU `(5, 4, 3)`, no two voxels alike, both ends of 12 bits among them."""
    values = np.arange(60, dtype=np.int16).reshape(5, 4, 3) * 50 - 1000
    values[0, 0, 0], values[4, 3, 2] = -1024, 3071
    return values


def straight() -> Affine:
    affine = np.diag((1.5, 2.0, 7.0, 1.0))
    affine[:3, 3] = -30.25, 12.5, 100.0
    return affine


def oblique() -> Affine:
    a, b = math.radians(20), math.radians(-35)
    about_z = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    affine = straight()
    affine[:3, :3] = about_z @ about_x @ affine[:3, :3]
    return affine


def mirrored() -> Affine:
    affine = straight()
    affine[:3, :3] = affine[:3, :3] @ np.diag((-1.0, -1.0, -1.0))
    return affine


AFFINES = pytest.mark.parametrize("affine", [straight(), oblique(), mirrored()])


def read_by_pydicom(files: list[Path]) -> tuple[Volume, Affine]:
    """Voxels `(i, j, k)` and affine to RAS by the standard's equation C.7.6.2.1-1."""
    slices = [pydicom.dcmread(path) for path in files]
    pixels = [
        s.pixel_array.astype(int) * int(s.RescaleSlope) + int(s.RescaleIntercept) for s in slices
    ]
    first, last = (np.array(s.ImagePositionPatient, float) for s in (slices[0], slices[-1]))
    along, down = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = (float(value) for value in slices[0].PixelSpacing)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = along * between_columns, down * between_rows
    lps[:3, 2], lps[:3, 3] = (last - first) / (len(slices) - 1), first
    return np.stack(pixels, axis=-1).swapaxes(0, 1), np.diag((-1.0, -1.0, 1.0, 1.0)) @ lps


@AFFINES
def test_pydicom_reads_every_voxel_and_the_affine_back(
    volume: Volume, affine: Affine, tmp_path: Path
) -> None:
    voxels, found = read_by_pydicom(write_series(volume, affine, tmp_path))
    assert np.array_equal(voxels, volume)
    assert found == pytest.approx(affine, abs=1e-6)


@AFFINES
def test_simpleitk_reads_every_voxel_at_its_place(
    volume: Volume, affine: Affine, tmp_path: Path
) -> None:
    write_series(volume, affine, tmp_path)
    itk: Any = SimpleITK
    image = itk.ReadImage(itk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    assert image.GetSize() == volume.shape
    # GDCM sorts the slices along their normal, whatever the order of k: compare in space
    for index in np.ndindex(volume.shape):
        x, y, z, _ = affine @ [*index, 1.0]
        point = image.TransformPhysicalPointToIndex((-x, -y, z))
        assert image.GetPixel(point) == volume[index]
        back = image.TransformIndexToPhysicalPoint(point)
        assert back == pytest.approx((-x, -y, z), abs=1e-5)


def test_every_required_attribute_is_there(volume: Volume, tmp_path: Path) -> None:
    for path in write_series(volume, oblique(), tmp_path):
        written = pydicom.dcmread(path)
        assert [name for name in NEED_VALUE.split() if written.get(name) in (None, "", b"")] == []
        assert [name for name in NEED_PRESENCE.split() if name not in written] == []


def test_files_are_ct_image_storage_in_explicit_little_endian(
    volume: Volume, tmp_path: Path
) -> None:
    for path in write_series(volume, straight(), tmp_path):
        assert path.read_bytes()[128:132] == b"DICM"
        written = pydicom.dcmread(path)
        assert written.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert written.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
        assert written.file_meta.MediaStorageSOPClassUID == written.SOPClassUID
        assert written.file_meta.MediaStorageSOPInstanceUID == written.SOPInstanceUID
        assert (written.RescaleIntercept, written.RescaleSlope) == (-1024, 1)
        assert (written.BitsAllocated, written.BitsStored, written.HighBit) == (16, 12, 11)


def test_nothing_that_pydicom_checks_is_against_the_standard(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    for path in write_series(volume, oblique(), tmp_path):
        for element in pydicom.dcmread(path):
            assert element.VR
            assert element.value is not None or element.VM == 0


def test_uids_are_uuids_below_their_root_and_tell_slices_series_and_patients_apart(
    volume: Volume, tmp_path: Path
) -> None:
    found = []
    for patient, series in (("phantom_001", "1"), ("phantom_001", "2"), ("phantom_002", "1")):
        folder = tmp_path / patient / series
        files = write_series(volume, straight(), folder, patient_id=patient, series=series)
        found.append([pydicom.dcmread(path) for path in files])
    flat = [one for part in found for one in part]
    instances = {one.SOPInstanceUID for one in flat}
    assert len(instances) == 9
    assert len({one.SeriesInstanceUID for one in flat}) == 3
    assert len({one.StudyInstanceUID for one in flat}) == 2
    assert len({one.FrameOfReferenceUID for one in flat}) == 2
    for uid in instances:
        assert uid.startswith("2.25.")
        assert int(uid.removeprefix("2.25.")) < 2**128
        assert pydicom.uid.UID(uid).is_valid


def test_the_same_arguments_give_the_same_bytes(volume: Volume, tmp_path: Path) -> None:
    one = write_series(volume, oblique(), tmp_path / "one")
    other = write_series(volume, oblique(), tmp_path / "other")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_slices_are_numbered_in_the_order_of_k(volume: Volume, tmp_path: Path) -> None:
    files = write_series(volume, straight(), tmp_path)
    assert [path.name for path in files] == ["0001.dcm", "0002.dcm", "0003.dcm"]
    assert [int(pydicom.dcmread(path).InstanceNumber) for path in files] == [1, 2, 3]


def test_values_beyond_12_bits_are_stored_in_16(tmp_path: Path) -> None:
    metal = np.full((2, 2, 2), 20_000, np.int16)
    voxels, _ = read_by_pydicom(write_series(metal, straight(), tmp_path))
    assert np.array_equal(voxels, metal)


@pytest.mark.parametrize("value", [-1025, 64_512])
def test_values_that_cannot_be_stored_are_refused(value: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=str(value)):
        write_series(np.full((2, 2, 2), value, np.int32), straight(), tmp_path)


def test_a_volume_of_floats_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="float64"):
        write_series(np.zeros((2, 2, 2)), straight(), tmp_path)  # type: ignore[arg-type]


def test_a_sheared_affine_is_refused(volume: Volume, tmp_path: Path) -> None:
    affine = straight()
    affine[0, 2] = 1.0
    with pytest.raises(GeometryError, match="sheared"):
        write_series(volume, affine, tmp_path / "out")
    assert not (tmp_path / "out").exists()
