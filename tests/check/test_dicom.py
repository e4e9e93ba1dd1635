import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from pipeline.check import check_manifest
from pipeline.io import read_image, write_nifti
from pipeline.manifests import Manifest, load_manifest

NAME = "PLANTED-7731"


def _series(folder: Path, patient: str, seed: int) -> None:
    """Write a CT of four slices."""
    folder.mkdir(parents=True)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for n in range(4):
        ds = pydicom.Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = series, study, frame
        ds.PatientID, ds.PatientName, ds.Modality, ds.InstanceNumber = patient, NAME, "CT", n + 1
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 2 * n], [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness = [1, 1], 2
        ds.Rows = ds.Columns = 8
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        pixels = np.random.default_rng(10 * seed + n).integers(-1000, 500, (8, 8))
        ds.PixelData = pixels.astype("<i2").tobytes()
        ds.save_as(folder / f"{n}.dcm", enforce_file_format=True)


def _manifest(folder: Path, patients: tuple[str, str]) -> Manifest:
    """Two series, one to train and one to test, each its own patient to the manifest."""
    cases = []
    for n, (patient, part) in enumerate(zip(patients, ("train", "test"), strict=True)):
        _series(folder / f"scan{n}", patient, n)
        image = read_image(folder / f"scan{n}")
        label = np.greater(image.array, 0).astype(np.uint8)
        assert image.affine is not None
        write_nifti(folder / f"l{n}.nii.gz", label, image.affine)
        case = {"id": f"c{n}", "image": f"scan{n}", "label": f"l{n}.nii.gz", "split": part}
        cases.append(case)
    file = folder / "two.json"
    file.write_text(
        json.dumps({"name": "two", "modality": "CT", "labels": {"a": 1}, "cases": cases})
    )
    return load_manifest(file)


@pytest.mark.parametrize(
    ("patients", "expected"),
    [((NAME, NAME), [("c1", "error", "patient in two parts")]), ((NAME, "OTHER-1"), [])],
)
def test_one_dicom_patient_in_two_parts_is_found_and_never_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    patients: tuple[str, str],
    expected: list[tuple[str, str, str]],
) -> None:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    manifest = _manifest(tmp_path / "set", patients)
    for _ in range(2):  # measured, and from the cache
        report = check_manifest(manifest, jobs=1)
        assert [(f.case, f.level, f.what) for f in report.findings] == expected
        assert NAME not in report.to_json()
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert len([file for file in kept if file.suffix == ".json"]) == 2
    assert not any(NAME.encode() in file.read_bytes() for file in kept)
