import argparse
import gzip
import importlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from pipeline.cli import convert, main
from pipeline.errors import PipelineError
from pipeline.io import write_nifti, write_picture

nibabel: Any = importlib.import_module("nibabel")
SECRET = "Zeugin^Unbekannt"
CODE = "ZEUGIN UNBEKANNT"
HU = (np.arange(6 * 5 * 4).reshape(6, 5, 4) - 60).astype(np.int16)


def slices(hu: Any = HU, series: str = "1.2.3", **attributes: Any) -> list[Any]:
    found = []
    for k in range(hu.shape[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = UID(f"{series}.{k + 1}")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, f"{series}.{k + 1}"
        one.StudyInstanceUID, one.SeriesInstanceUID = "1.2", series
        one.FrameOfReferenceUID, one.PatientID, one.Modality = "1.2.9", "none", "CT"
        one.ImagePositionPatient = [-10, 20, -30 + 2.5 * k]
        one.ImageOrientationPatient, one.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.75, 0.5]
        one.Rows, one.Columns, one.SamplesPerPixel = hu.shape[1], hu.shape[0], 1
        one.PhotometricInterpretation = "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        for name, value in attributes.items():
            setattr(one, name, value)
        one.PixelData = np.ascontiguousarray(hu[:, :, k].T).astype("<i2").tobytes()
        found.append(one)
    return found


def save(folder: Path, objects: list[Any], prefix: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    for number, one in enumerate(objects):
        dcmwrite(folder / f"{prefix}{number}", one)
    return folder


def structures(path: Path, **attributes: Any) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.481.3")
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = UID("1.2.7"), ExplicitVRLittleEndian
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.7"
    rois, drawn = [], []
    for number, (name, k) in enumerate((("gtv", 1), ("Liver", 2)), 1):
        roi, outline, contour = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, "1.2.9"
        contour.ContourGeometricType, z = "CLOSED_PLANAR", -30 + 2.5 * k
        contour.ContourData = [-9.75, 20, z, -8.25, 20, z, -8.25, 22.6, z, -9.75, 22.6, z]
        outline.ReferencedROINumber, outline.ContourSequence = number, Sequence([contour])
        rois.append(roi)
        drawn.append(outline)
    one.StructureSetROISequence, one.ROIContourSequence = Sequence(rois), Sequence(drawn)
    for name, value in attributes.items():
        setattr(one, name, value)
    dcmwrite(path, one)
    return path


def call(*arguments: object) -> int:
    """Parse and run as the command does; a refusal is one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="unetworks convert")
    convert.register(parser)
    try:
        return convert.run(parser.parse_args([str(argument) for argument in arguments]))
    except PipelineError as error:
        print(f"error: {error.line()}", file=sys.stderr)
        return 2


def test_a_series_becomes_a_nifti_with_hu_at_every_world_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.nii.gz"
    assert call(save(tmp_path / "ct", slices()), out) == 0
    image = nibabel.load(out)
    assert np.array_equal(np.asarray(image.dataobj), HU)
    assert image.get_data_dtype() == np.int16
    assert image.affine @ [2, 1, 3, 1] == pytest.approx([9, -20.75, -22.5, 1])
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "6x5x4 int16, 0.5 x 0.75 x 2.5 mm" in shown.out
    header = image.header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    # nibabel forgets the scale once it has loaded it
    assert struct.unpack_from("<2f", gzip.decompress(out.read_bytes()), 112) == (1, 0)
    assert header.get_xyzt_units()[0] == "mm"


def test_unusual_things_are_warnings_and_exit_code_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(tmp_path / "ct", slices(SeriesInstanceUID=""))
    assert call(folder, tmp_path / "out.nii") == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("warning: no SeriesInstanceUID")


@pytest.mark.parametrize("out", ["out.nii.gz", "new/out.nii"])
def test_a_refusal_is_one_line_and_leaves_no_file(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = slices()
    del objects[1]
    folder = save(tmp_path / "ct", objects)
    before = sorted(tmp_path.rglob("*"))
    assert call(folder, tmp_path / out) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {folder}/0: a gap of 5.000 mm")
    assert sorted(tmp_path.rglob("*")) == before


def test_series_phase_range_and_regularize_accept_what_the_refusal_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.nii.gz"
    both = save(tmp_path / "both", slices())
    save(both, slices(np.asarray(HU + 1, np.int16), series="1.2.4"), prefix="b")
    assert call(both, out) == 2
    assert "2 series: [1] CT 6x5x4" in capsys.readouterr().err
    assert call(both, out, "--series", "2") == 0
    assert np.array_equal(np.asarray(nibabel.load(out).dataobj), HU + 1)
    phases = save(tmp_path / "phases", slices(AcquisitionNumber=1))
    save(phases, slices(np.asarray(HU + 1, np.int16), AcquisitionNumber=2), prefix="b")
    assert call(phases, out) == 2
    assert call(phases, out, "--phase", "AcquisitionNumber=2") == 0
    assert np.array_equal(np.asarray(nibabel.load(out).dataobj), HU + 1)
    objects = slices(np.repeat(HU[..., :1], 7, axis=2))
    del objects[2]
    gap = save(tmp_path / "gap", objects)
    assert call(gap, out, "--range", "2") == 0
    assert nibabel.load(out).shape == (6, 5, 4)
    assert not (tmp_path / "out.json").exists()
    capsys.readouterr()
    assert call(gap, out, "--regularize") == 0
    assert nibabel.load(out).shape == (6, 5, 7)
    assert "warning: resampled on an even grid" in capsys.readouterr().err
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["regularized"] is True
    assert "a gap of 5.000 mm" in told["warnings"][0]


def test_n13_and_pictures_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_nifti(tmp_path / "four.nii", np.zeros((2, 2, 2, 3), np.uint8), np.eye(4))
    write_picture(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    for name, fact in (("four.nii", "3 volumes in one file"), ("a.png", "a picture")):
        assert call(tmp_path / name, tmp_path / "out.nii.gz") == 2
        assert fact in capsys.readouterr().err
    assert not (tmp_path / "out.nii.gz").exists()


def test_n07_a_nifti_without_a_place_needs_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = nibabel.Nifti1Image(HU, np.diag([0.5, 2, 3, 1]))
    image.header["sform_code"] = image.header["qform_code"] = 0
    image.header["magic"], image.header["vox_offset"] = b"n+1", 352
    image.header["scl_slope"], image.header["scl_inter"] = 1, 0
    data = image.header.binaryblock + b"\0" * 4 + HU.tobytes("F")
    (tmp_path / "a.nii").write_bytes(data)
    out = tmp_path / "out.nii.gz"
    assert call(tmp_path / "a.nii", out) == 2
    assert "--affine pixdim" in capsys.readouterr().err
    assert call(tmp_path / "a.nii", out, "--affine", "pixdim") == 0
    assert np.array_equal(np.asarray(nibabel.load(out).dataobj), HU)


def test_structures_become_labels_on_the_grid_of_their_series(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ct, rs = save(tmp_path / "ct", slices()), structures(tmp_path / "rs.dcm")
    out = tmp_path / "label.nii.gz"
    assert call(rs, out) == 2
    assert "--reference SERIES" in capsys.readouterr().err
    assert call(rs, out, "--reference", ct) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["1 gtv", "2 Liver"]
    image = nibabel.load(out)
    assert image.get_data_dtype() == np.uint8
    expected = np.zeros(HU.shape)
    expected[1:4, 0:4, 1], expected[1:4, 0:4, 2] = 1, 2
    assert np.array_equal(np.asarray(image.dataobj), expected)
    assert json.loads((tmp_path / "label.json").read_text())["labels"] == {"gtv": 1, "Liver": 2}
    assert call(rs, out, "--reference", ct, "--roi", "liver") == 0
    assert np.asarray(nibabel.load(out).dataobj).max() == 1
    assert call(ct, tmp_path / "x.nii", "--roi", "liver") == 2
    assert "--roi is for these" in capsys.readouterr().err


def test_odd_names_and_overwriting_the_input_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "a.nii", HU, np.eye(4))
    assert call(tmp_path / "a.nii", tmp_path / "a.nii") == 2
    assert "the input itself" in capsys.readouterr().err
    assert call(tmp_path / "a.nii", tmp_path / "out.png") == 2
    assert call(tmp_path / "absent", tmp_path / "out.nii") == 2
    assert call(tmp_path / "a.nii", tmp_path / "out.nii", "--phase", "x") == 2
    capsys.readouterr()
    assert call(tmp_path / "a.nii", tmp_path / "out.nii", "--regularize") == 2
    assert "--regularize is for DICOM" in capsys.readouterr().err
    assert call(save(tmp_path / "ct", slices()), tmp_path / "out.nii", "--affine", "sform") == 2
    assert "--affine is for NIfTI" in capsys.readouterr().err
    assert not (tmp_path / "out.nii").exists()


def test_convert_needs_neither_torch_nor_monai(tmp_path: Path) -> None:
    folder = save(tmp_path / "ct", slices())
    code = (
        "import argparse, sys; from pipeline.cli import convert; "
        "parser = argparse.ArgumentParser(); convert.register(parser); "
        "assert convert.run(parser.parse_args(sys.argv[1:])) == 0; "
        "print(sorted({'torch', 'monai', 'mlflow', 'SimpleITK'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "out.nii.gz")],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.splitlines()[-1]
    assert loaded == "[]"


def planted(folder: Path) -> Path:
    """A series whose every text element names somebody."""
    objects = slices()
    texts = {
        "PatientName": SECRET, "PatientID": SECRET, "OtherPatientNames": SECRET,
        "PatientComments": SECRET, "PatientAddress": SECRET, "InstitutionName": SECRET,
        "ReferringPhysicianName": SECRET, "AccessionNumber": SECRET[:16], "StudyID": SECRET[:16],
        "SeriesDescription": SECRET, "StudyDescription": SECRET, "ProtocolName": SECRET,
        "RescaleType": SECRET, "Units": CODE, "Modality": CODE,
        "OperatorsName": SECRET, "StationName": SECRET[:16], "ImageComments": SECRET,
        "StudyDate": "20310102", "SeriesDate": "20310102", "PatientBirthDate": "20310102",
    }  # fmt: skip
    for one in objects:
        for name, value in texts.items():
            setattr(one, name, value)
        one.add_new(0x00110010, "LO", "PRIVATE")
        one.add_new(0x00111001, "LT", SECRET)
    return save(folder, objects)


def test_d92_nothing_written_names_a_patient(tmp_path: Path) -> None:
    ct = planted(tmp_path / f"{SECRET} ct")
    rs = structures(tmp_path / "rs.dcm", PatientName=SECRET, StructureSetLabel=SECRET[:16])
    outs = tmp_path / "written"
    outs.mkdir()
    assert call(ct, outs / "a.nii") == 0
    assert call(ct, outs / "r.nii", "--regularize") == 0
    assert call(rs, outs / "l.nii", "--reference", ct) == 0
    written = {file.name: file.read_bytes() for file in outs.iterdir()}
    assert set(written) == {"a.nii", "r.nii", "r.json", "l.nii", "l.json"}
    for data in written.values():
        for secret in (SECRET, CODE, "Unbekannt", "20310102", "1.2.3", str(tmp_path)):
            assert secret.encode() not in data
        assert b"Zeugin" not in data
    for name in ("a.nii", "r.nii", "l.nii"):
        header = nibabel.load(outs / name).header
        for field in ("descrip", "aux_file", "db_name", "intent_name"):
            assert bytes(header[field]).strip(b"\0") == b""
        assert not header.extensions


@pytest.mark.parametrize("name", ["folder.nii.gz", f"{'a' * 300}.nii.gz", "file/out.nii.gz"])
def test_an_output_that_cannot_be_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "in.nii.gz", np.zeros((2, 3, 4), np.int16), np.eye(4))
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.iterdir())
    assert main(["convert", str(tmp_path / "in.nii.gz"), str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line
    assert sorted(tmp_path.iterdir()) == before


def test_an_input_with_an_impossible_name_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(tmp_path / ("a" * 300)), str(tmp_path / "out.nii.gz")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no such file or folder" in line
