"""A volume in HU as a DICOM CT series: one file a slice, every attribute that is required."""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError, InvalidValueError
from pipeline.phantom.shapes import Array

if TYPE_CHECKING:
    from pydicom import Dataset

INTERCEPT_HU: Final = -1024
UID_NAMESPACE: Final = uuid.UUID("6f0d3c52-4d0a-4e1b-9a6e-7a1c1a0f5b21")
RAS_TO_LPS: Final = np.diag((-1.0, -1.0, 1.0, 1.0))
SHEAR_TOLERANCE: Final = 1e-4  # of the cosine between two axes; a series cannot be sheared


def write_series(
    volume: NDArray[np.integer],
    affine: Array,
    folder: str | Path,
    *,
    patient_id: str = "phantom",
    patient_name: str = "Phantom^Synthetic",
    series: str = "1",
    description: str = "synthetic CT",
) -> list[Path]:
    """Write HU `(i, j, k)` as CT Image Storage, explicit VR little endian; a file a slice of k.

    Columns of the pictures run along i, rows along j, so voxel `(i, j, k)` is pixel `[j, i]` of
    file k and the affine comes back unchanged. The same arguments give the same bytes: UIDs are
    UUIDs of `patient_id` and `series`, and two series of one patient share their study.

    Args:
        volume: Whole numbers from -1024 HU on.
        affine: Index to RAS mm, 4 x 4, oblique or not, without shear.
        folder: Made if missing; files are called `0001.dcm` and on.
        patient_id: Of the patient, and what study and frame of reference are named after.
        patient_name: `Family^Given`; obviously not a person's.
        series: Tells two series of one patient apart; its number where it is one.
        description: Of the series.

    Returns:
        The files, in the order of k.

    Raises:
        InvalidValueError: Not 3D, not whole numbers, or out of what 16 bits hold.
        GeometryError: A sheared affine.
    """
    stored = _stored(volume)
    head = _image_head(stored)
    _fill_patient(head, patient_id, patient_name)
    _fill_series(head, patient_id, series, description)
    place = _place_head(head, np.asarray(affine, dtype=float))
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for k in range(stored.shape[2]):
        files.append(target / f"{k + 1:04d}.dcm")
        head.InstanceNumber = str(k + 1)
        head.SOPInstanceUID = derived_uid(patient_id, series, k)
        head.ImagePositionPatient = [_decimal(value) for value in place[0] + k * place[1]]
        head.PixelData = stored[:, :, k].T.astype("<u2").tobytes()
        _save(head, files[-1])
    return files


def derived_uid(*parts: object) -> str:
    """Return a UID below the root 2.25, the UUID form, that depends on `parts` alone."""
    return f"2.25.{uuid.uuid5(UID_NAMESPACE, '/'.join(map(str, parts))).int}"


def _stored(volume: NDArray[np.integer]) -> NDArray[np.uint16]:
    """HU as the unsigned pixel values of a file."""
    array = np.asarray(volume)
    if array.ndim != 3 or not np.issubdtype(array.dtype, np.integer) or not array.size:
        raise InvalidValueError(
            f"a volume of shape {array.shape} and type {array.dtype}",
            hint="give whole numbers as (i, j, k)",
        )
    low, high = int(array.min()), int(array.max())
    if low < INTERCEPT_HU or high - INTERCEPT_HU > np.iinfo(np.uint16).max:
        raise InvalidValueError(
            f"HU from {low} to {high} do not fit 16 bits from {INTERCEPT_HU} on",
            hint="clip them to -1024..3071",
        )
    return (array.astype(np.int32) - INTERCEPT_HU).astype(np.uint16)


def _image_head(stored: NDArray[np.uint16]) -> "Dataset":
    """What the SOP common, image pixel and CT image modules ask for, but for the pixels."""
    from pydicom import Dataset
    from pydicom.uid import CTImageStorage

    bits = 12 if int(stored.max()) < 4096 else 16
    head = Dataset()
    head.SpecificCharacterSet = "ISO_IR 192"
    head.SOPClassUID = CTImageStorage
    head.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    head.SamplesPerPixel = 1
    head.PhotometricInterpretation = "MONOCHROME2"
    head.Columns, head.Rows = stored.shape[:2]
    head.BitsAllocated, head.BitsStored, head.HighBit = 16, bits, bits - 1
    head.PixelRepresentation = 0
    head.RescaleIntercept, head.RescaleSlope = str(INTERCEPT_HU), "1"
    head.RescaleType = "HU"
    head.KVP = "120"
    head.AcquisitionNumber = "1"
    return head


def _fill_patient(head: "Dataset", patient_id: str, patient_name: str) -> None:
    """Patient and study modules; what is unknown is there and empty."""
    head.PatientName, head.PatientID = patient_name, patient_id
    head.PatientBirthDate, head.PatientSex = "", "O"
    head.StudyInstanceUID = derived_uid(patient_id)
    head.StudyDate, head.StudyTime = "20000101", "120000"
    head.StudyID, head.AccessionNumber, head.ReferringPhysicianName = "1", "", ""
    head.StudyDescription = "synthetic patient"


def _fill_series(head: "Dataset", patient_id: str, series: str, description: str) -> None:
    """Series, equipment and frame of reference modules."""
    head.Modality = "CT"
    head.SeriesInstanceUID = derived_uid(patient_id, series)
    head.SeriesNumber = series if series.isdecimal() else ""
    head.SeriesDescription = description
    head.PatientPosition = "HFS"
    head.FrameOfReferenceUID = derived_uid(patient_id, "frame")
    head.PositionReferenceIndicator = ""
    head.Manufacturer = "unetworks"


def _place_head(head: "Dataset", affine: Array) -> tuple[Array, Array]:
    """Image plane module; first voxel's place and the step from slice to slice, LPS mm."""
    lps = RAS_TO_LPS @ affine
    steps = lps[:3, :3]
    sizes = np.sqrt((steps * steps).sum(axis=0))
    if affine.shape != (4, 4) or not (sizes > 0).all():
        raise GeometryError(f"an affine with voxels of {sizes} mm", hint="give positive sizes")
    cosines = steps / sizes
    if np.abs(cosines.T @ cosines - np.eye(3)).max() > SHEAR_TOLERANCE:
        raise GeometryError("the affine is sheared", hint="resample to a grid of right angles")
    head.PixelSpacing = [_decimal(sizes[1]), _decimal(sizes[0])]  # between rows, columns
    head.SliceThickness = _decimal(sizes[2])
    head.ImageOrientationPatient = [_decimal(value) for value in (*cosines[:, 0], *cosines[:, 1])]
    return lps[:3, 3], steps[:, 2]


def _decimal(value: float) -> str:
    """A number in the at most 16 characters of a decimal string."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value) + 0.0)  # no "-0"


def _save(head: "Dataset", path: Path) -> None:
    """Write one slice with its file meta information."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = head.SOPClassUID
    meta.MediaStorageSOPInstanceUID = head.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    head.file_meta = meta
    head.save_as(path, enforce_file_format=True)
