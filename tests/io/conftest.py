from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from pipeline.io import Volume

Slices = list[FileDataset]


def ct_slices(
    hu: npt.NDArray[np.int16],
    *,
    row: tuple[float, ...] = (1, 0, 0),
    column: tuple[float, ...] = (0, 1, 0),
    spacing: tuple[float, float, float] = (0.5, 0.75, 2.0),
    origin: tuple[float, ...] = (-10.0, 20.0, -30.0),
    series: str = "1.2.3",
    **attributes: Any,
) -> Slices:
    """One single-frame CT for each k of `hu` (i, j, k); spacing is along i, j, k."""
    normal = np.cross(row, column)
    slices = []
    for k in range(hu.shape[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = UID(f"{series}.{k + 1}")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, f"{series}.{k + 1}"
        one.StudyInstanceUID, one.SeriesInstanceUID = "1.2", series
        one.FrameOfReferenceUID, one.PatientID, one.Modality = "1.2.9", "none", "CT"
        one.SeriesDescription, one.SeriesDate, one.SeriesTime = "Abd 2.0", "20200101", "1200"
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        position = np.array(origin) + normal * spacing[2] * k
        one.ImagePositionPatient = [f"{value:.6f}" for value in position]
        one.ImageOrientationPatient = [f"{value:.9f}" for value in (*row, *column)]
        one.PixelSpacing = [spacing[1], spacing[0]]  # between rows, between columns
        one.SliceThickness, one.InstanceNumber = 5.0, hu.shape[2] - k
        one.Rows, one.Columns = hu.shape[1], hu.shape[0]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
        one.RescaleSlope, one.RescaleIntercept = 1, -1024
        for name, value in attributes.items():
            setattr(one, name, value)
        one.PixelData = (hu[:, :, k].T.astype(np.int32) + 1024).astype("<u2").tobytes()
        slices.append(one)
    return slices


def save(folder: Path, slices: Slices, *, prefix: str = "") -> Path:
    """Write the slices under names in an order that says nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(0).permutation(len(slices))
    for name, one in zip(order, slices, strict=True):
        pydicom.dcmwrite(folder / f"{prefix}{name}", one)
    return folder


@pytest.fixture
def hu() -> npt.NDArray[np.int16]:
    """Values that tell the place of their voxel: i + 10 j + 100 k - 1000."""
    i, j, k = np.meshgrid(range(7), range(5), range(6), indexing="ij")
    return np.asarray(i + 10 * j + 100 * k - 1000, np.int16)


def placed(
    volume: Volume,
    *,
    row: tuple[float, ...] = (1, 0, 0),
    column: tuple[float, ...] = (0, 1, 0),
    spacing: tuple[float, float, float] = (0.5, 0.75, 2.0),
    origin: tuple[float, ...] = (-10.0, 20.0, -30.0),
    step: tuple[float, ...] | None = None,
    atol: float = 1e-5,
) -> bool:
    """Whether every voxel of `volume` lies where its own value says that it was made."""
    assert volume.affine is not None
    code = volume.array.astype(int) + 1000
    i, j, k = code % 10, code // 10 % 10, code // 100
    across = np.cross(row, column) * spacing[2] if step is None else np.array(step)
    lps = (
        np.array(origin)
        + i[..., None] * np.array(row) * spacing[0]
        + j[..., None] * np.array(column) * spacing[1]
        + k[..., None] * across
    )
    index = np.stack(np.meshgrid(*map(range, volume.array.shape), indexing="ij"), axis=-1)
    ras = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return bool(np.allclose(ras, lps * [-1, -1, 1], atol=atol))


@pytest.fixture
def is_placed() -> Callable[..., bool]:
    return placed


@pytest.fixture
def make_slices() -> Callable[..., Slices]:
    return ct_slices


@pytest.fixture
def save_slices() -> Callable[..., Path]:
    return save
