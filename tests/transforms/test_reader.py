import argparse
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import LoadImage
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from pipeline.cli import convert
from pipeline.errors import DataError, GeometryError, InvalidValueError
from pipeline.io import read_image, write_nifti, write_picture
from pipeline.transforms.reader import ReadVolumed, VolumeReader

AFFINE = np.array([[0, -2.0, 0, 5], [0.5, 0, 0.1, -7], [0, 0, 3.0, 11], [0, 0, 0, 1]])
SCAN = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) - 1000
MASK = (SCAN > -990).astype(np.uint8)
# MONAI's LoadImage sets up all of its own readers first, and one of them warns of a GPU decoder
MONAIS_LOADER = pytest.mark.filterwarnings("ignore:NvImgCodec")


def file_of(sop_class: str, number: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(f"1.2.{number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = sop_class, f"1.2.{number}"
    return one


def series(folder: Path) -> Path:
    """SCAN as a CT of .5 x .75 x 2 mm."""
    folder.mkdir()
    for k in range(SCAN.shape[2]):
        one = file_of(CTImageStorage, k + 1)
        one.SeriesInstanceUID, one.StudyInstanceUID, one.PatientID = "1.3", "1.4", "none"
        one.FrameOfReferenceUID, one.Modality = "1.9", "CT"
        one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 2 * k], [1, 0, 0, 0, 1, 0]
        one.PixelSpacing, one.Rows, one.Columns = [0.75, 0.5], SCAN.shape[1], SCAN.shape[0]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        one.PixelData = np.ascontiguousarray(SCAN[:, :, k].T).tobytes()
        dcmwrite(folder / str(9 - k), one)
    return folder


def structure_set(path: Path) -> Path:
    one = file_of("1.2.840.10008.5.1.4.1.1.481.3", 77)
    roi, outline, contour = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 1, "box", "1.9"
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.ContourData = [-0.2, 0.5, 4, 0.7, 0.5, 4, 0.7, 1, 4, -0.2, 1, 4]
    outline.ReferencedROINumber, outline.ContourSequence = 1, Sequence([contour])
    one.StructureSetROISequence = Sequence([roi])
    one.ROIContourSequence = Sequence([outline])
    dcmwrite(path, one)
    return path


@pytest.fixture
def case(tmp_path: Path) -> dict[Hashable, str]:
    write_nifti(tmp_path / "scan.nii.gz", SCAN, AFFINE)
    write_nifti(tmp_path / "mask.nii.gz", MASK.astype(np.float32), AFFINE)
    return {"image": str(tmp_path / "scan.nii.gz"), "label": str(tmp_path / "mask.nii.gz")}


def test_a_case_becomes_channel_first_tensors_in_their_place(case: dict[Hashable, str]) -> None:
    out = ReadVolumed(["image", "label"])(case)
    image, label = out["image"], out["label"]
    assert isinstance(image, MetaTensor)
    assert isinstance(label, MetaTensor)
    assert (image.dtype, label.dtype) == (torch.float32, torch.uint8)
    assert np.array_equal(image.numpy(), SCAN[None])
    assert np.array_equal(label.numpy(), MASK[None])
    for tensor in (image, label):
        assert tensor.affine.dtype == torch.float64
        assert tensor.affine.numpy() == pytest.approx(AFFINE)
        assert tensor.meta["original_affine"] == pytest.approx(AFFINE)
        assert tensor.meta["original_channel_dim"] == 0
        assert tensor.meta["spatial_shape"].tolist() == [2, 3, 4]
    assert image.meta["filename_or_obj"] == case["image"]
    assert case["image"].endswith("scan.nii.gz")


@MONAIS_LOADER
def test_monais_own_loader_reads_through_ours_by_class_by_instance_and_by_name(
    case: dict[Hashable, str],
) -> None:
    for reader in (VolumeReader, VolumeReader(), "pipeline.transforms.reader.VolumeReader"):
        image = LoadImage(reader=reader)(case["image"])
        assert np.array_equal(image.numpy(), SCAN)
        assert image.affine.numpy() == pytest.approx(AFFINE)
        assert image.meta["original_channel_dim"] == "no_channel"
        assert image.meta["space"] == "RAS"


@MONAIS_LOADER
def test_a_config_names_the_reader(case: dict[Hashable, str]) -> None:
    config = {
        "load": {
            "_target_": "LoadImaged",
            "keys": ["image"],
            "reader": "$pipeline.transforms.reader.VolumeReader",
            "ensure_channel_first": True,
        },
        "imports": ["$import pipeline.transforms.reader"],
    }
    parser = ConfigParser(config, globals={"pipeline": __import__("pipeline.transforms.reader")})
    out = parser.get_parsed_content("load")(case)
    assert tuple(out["image"].shape) == (1, 2, 3, 4)


@MONAIS_LOADER
def test_what_we_refuse_no_other_reader_of_monai_reads(case: dict[Hashable, str]) -> None:
    bad = Path(case["label"])
    write_nifti(bad, MASK * 0.5, AFFINE)
    with pytest.raises(DataError, match=r"0\.5"):
        LoadImage(reader=VolumeReader(label=True))(bad)
    with pytest.raises(DataError, match=r"0\.5"):
        ReadVolumed(["label"])(case)


@MONAIS_LOADER
def test_a_picture_keeps_rows_before_columns(tmp_path: Path) -> None:
    array = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
    write_picture(tmp_path / "a.png", array)
    write_picture(tmp_path / "m.png", array[..., 0] > 9)
    out = ReadVolumed(["image", "label"])(
        {"image": tmp_path / "a.png", "label": tmp_path / "m.png"}
    )
    assert np.array_equal(out["image"].numpy(), np.moveaxis(array, -1, 0))
    assert np.array_equal(out["label"].numpy(), array[None, ..., 0] > 9)
    loaded = LoadImage(reader=VolumeReader, ensure_channel_first=True)(tmp_path / "a.png")
    assert np.array_equal(loaded.numpy(), np.moveaxis(array, -1, 0))


def test_several_files_are_channels_of_one_grid(tmp_path: Path) -> None:
    for name, shift in (("a", 0.0), ("b", 0.01), ("c", 0.6)):
        moved = AFFINE.copy()
        moved[2, 3] += shift
        write_nifti(tmp_path / f"{name}.nii.gz", SCAN + ord(name), moved)
    paths = [tmp_path / f"{name}.nii.gz" for name in "ab"]
    image = ReadVolumed("image")({"image": paths})["image"]
    assert tuple(image.shape) == (2, 2, 3, 4)
    assert np.array_equal(image.numpy()[1], SCAN + ord("b"))
    with pytest.raises(GeometryError, match=r"0\.20 voxels away from a\.nii\.gz"):
        ReadVolumed("image")({"image": (paths[0], tmp_path / "c.nii.gz")})
    write_nifti(tmp_path / "d.nii.gz", SCAN[:1], AFFINE)
    with pytest.raises(GeometryError, match="shape 1x3x4, 2x3x4 in a"):
        ReadVolumed("image")({"image": (paths[0], tmp_path / "d.nii.gz")})


def test_regions_as_channels_of_one_label_file(tmp_path: Path) -> None:
    write_nifti(tmp_path / "m.nii.gz", np.stack([MASK, 1 - MASK], axis=-1), AFFINE)
    label = ReadVolumed("label")({"label": tmp_path / "m.nii.gz"})["label"]
    assert np.array_equal(label.numpy(), np.stack([MASK, 1 - MASK]))


def test_d110_a_label_of_other_axis_codes_is_turned_to_its_image(
    case: dict[Hashable, str], tmp_path: Path
) -> None:
    mirror = np.diag([1.0, -1, 1, 1])
    mirror[1, 3] = 2
    write_nifti(tmp_path / "mask.nii.gz", MASK[:, ::-1], AFFINE @ mirror)
    out = ReadVolumed(["label", "image"])(case)
    assert np.array_equal(out["label"].numpy()[0], MASK)
    assert out["label"].affine.numpy() == pytest.approx(AFFINE)
    moved = AFFINE.copy()
    moved[2, 3] += 0.6
    write_nifti(tmp_path / "mask.nii.gz", MASK, moved)
    with pytest.raises(GeometryError, match="another grid"):
        ReadVolumed(["image", "label"])(case)


@MONAIS_LOADER
def test_convert_and_the_reader_give_the_same_voxels(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct")
    parser = argparse.ArgumentParser()
    convert.register(parser)
    out = tmp_path / "out.nii.gz"
    assert convert.run(parser.parse_args([str(folder), str(out)])) == 0
    converted, direct = read_image(out), ReadVolumed("image")({"image": folder})["image"]
    assert np.array_equal(direct.numpy()[0], converted.array)
    assert np.array_equal(converted.array, SCAN)
    assert direct.affine.numpy() == pytest.approx(converted.affine, abs=1e-4)
    assert np.array_equal(LoadImage(reader=VolumeReader)(folder).numpy(), SCAN)
    assert direct.meta["facts"] == {"hu": True}


def test_structures_of_an_rtstruct_are_a_label(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct")
    file = structure_set(tmp_path / "rs.dcm")
    out = ReadVolumed(["image", "label"])(
        {"image": folder, "label": {"rtstruct": file, "structures": ["box"]}}
    )
    assert out["label"].dtype == torch.uint8
    assert out["label"].shape == out["image"].shape
    assert np.argwhere(out["label"].numpy()[0]).tolist() == [[0, 1, 2], [1, 1, 2]]
    with pytest.raises(InvalidValueError, match="a label of structures"):
        ReadVolumed(["image", "label"])({"image": folder, "label": {"structures": ["box"]}})


def test_large_label_values_are_kept(tmp_path: Path) -> None:
    write_nifti(tmp_path / "m.nii.gz", MASK.astype(np.int32) * 60000, AFFINE)
    label = ReadVolumed("label")({"label": tmp_path / "m.nii.gz"})["label"]
    assert label.dtype == torch.int32
    assert int(label.max()) == 60000


def test_missing_keys_and_misuse(case: dict[Hashable, str], tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        ReadVolumed(["image", "other"])(case)
    assert "other" not in ReadVolumed(["image", "other"], allow_missing_keys=True)(case)
    with pytest.raises(InvalidValueError, match="without a file"):
        ReadVolumed("image")({"image": []})
    with pytest.raises(InvalidValueError, match="was given x"):
        VolumeReader().read(case["image"], x=1)
    assert VolumeReader().verify_suffix(case["image"])
    assert not VolumeReader().verify_suffix(tmp_path)
