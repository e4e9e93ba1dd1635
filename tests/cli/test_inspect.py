import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RTStructureSetStorage

from pipeline.cli import main
from pipeline.io import write_nifti, write_picture
from pipeline.phantom import write_series

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
SECRET = "Zeugin^Unbekannt"
AFFINE = np.diag([-0.5, -0.75, 2.5, 1.0])
HU: Any = np.random.default_rng(0).integers(-900, 1100, (24, 20, 8)).astype(np.int16)

# what `inspect` may not import
LIGHT = """
import sys
from pipeline.cli import main
code = main(["inspect", *sys.argv[1:]])
heavy = sorted({"torch", "monai", "ignite", "mlflow"} & set(sys.modules))
sys.exit(f"imported {heavy}" if heavy else code)
"""


def series(folder: Path, number: str = "1", hu: Any = HU) -> Path:
    write_series(
        hu,
        AFFINE,
        folder,
        patient_id="Kennzeichen",
        patient_name=SECRET,
        series=number,
        description=f"Serie von {SECRET}",
    )
    return folder


def test_a_series_is_told_in_full(tmp_path: Path, capsys: Capture) -> None:
    assert main(["inspect", str(series(tmp_path / "ct"))]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = dict(line.strip().split(maxsplit=1) for line in out.splitlines()[1:] if line.strip())
    assert found["kind"] == "DICOM"
    assert found["shape"] == "24 x 20 x 8"
    assert found["spacing"] == "0.5 x 0.75 x 2.5 mm"
    assert found["orientation"].startswith("LPS ")
    assert found["field"] == "of view 12 x 15 x 20 mm"
    assert found["dtype"] == "int16"
    assert found["modality"] == "CT"
    assert found["range"] == f"{HU.min()} to {HU.max()} HU"
    median = np.percentile(HU, 50, method="inverted_cdf")
    assert f"50 %: {median:g}," in found["percentiles"]
    assert found["warnings"] == "none"


def test_the_histogram_has_a_bar_a_bin_and_its_shares_add_up(
    tmp_path: Path, capsys: Capture
) -> None:
    hu = np.where(np.arange(24)[:, None, None] < 18, -1000, 40) + HU % 5
    assert main(["inspect", str(series(tmp_path / "ct", hu=hu.astype(np.int16)))]) == 0
    bars = [line for line in capsys.readouterr().out.splitlines() if line.count("%") == 1]
    shares = [float(line.split("%")[0].split()[-1]) for line in bars]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    lengths = sorted(line.count("#") for line in bars)
    assert lengths[-2:] == [16, 48]  # a quarter against three
    assert lengths[0] == 0


def test_nothing_that_names_a_patient_is_shown_or_drawn(tmp_path: Path, capsys: Capture) -> None:
    folder, page = series(tmp_path / "ct"), tmp_path / "page.png"
    assert main(["inspect", str(folder), "-o", str(page)]) == 0
    shown = capsys.readouterr()
    with Image.open(page) as image:
        text = shown.out + shown.err + repr(image.info)
    for word in (*SECRET.split("^"), "Kennzeichen", "Serie von", "1.2."):
        assert word not in text
        assert word.encode() not in page.read_bytes()


def test_several_series_are_refused_with_a_list_and_one_is_picked(
    tmp_path: Path, capsys: Capture
) -> None:
    series(tmp_path / "study" / "a")
    series(tmp_path / "study" / "b", "2", hu=HU[:, :, :4])
    assert main(["inspect", str(tmp_path / "study")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "--series" in err
    assert main(["inspect", str(tmp_path / "study"), "--series", "2"]) == 0
    assert "24 x 20 x 4" in capsys.readouterr().out


def test_a_label_map_is_told_by_its_values_in_voxels_and_ml(
    tmp_path: Path, capsys: Capture
) -> None:
    label = np.zeros((10, 10, 10), np.uint8)
    label[:4], label[9, 9, 9] = 2, 5
    write_nifti(tmp_path / "label.nii.gz", label, np.diag([2.0, 2.0, 5.0, 1.0]))
    page = tmp_path / "page.png"
    assert main(["inspect", str(tmp_path / "label.nii.gz"), "-o", str(page)]) == 0
    out = capsys.readouterr().out
    assert "NIfTI, a label map" in out
    rows = [line.split() for line in out.splitlines()]
    for row in (["0", "599", "11.980"], ["2", "400", "8.000"], ["5", "1", "0.020"]):
        assert row in rows
    assert "#" not in out
    assert page.is_file()


def test_a_picture_has_no_place_and_its_mask_no_ml(tmp_path: Path, capsys: Capture) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[:15] = 255
    write_picture(tmp_path / "mask.png", mask)
    assert main(["inspect", str(tmp_path / "mask.png")]) == 0
    out = capsys.readouterr().out
    assert "picture, a label map" in out
    assert "spacing" not in out
    assert "ml" not in out
    assert ["255", "600"] in [line.split() for line in out.splitlines()]


@pytest.mark.parametrize("suffix", [".nii.gz", ".png"])
def test_channels_and_colours_are_counted(suffix: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / f"image{suffix}"
    if suffix == ".png":
        write_picture(path, np.full((30, 40, 3), 7, np.uint8))
    else:
        write_nifti(path, HU[..., None].repeat(3, axis=3), AFFINE)
    assert main(["inspect", str(path), "-o", str(tmp_path / "page.png")]) == 0
    out = capsys.readouterr().out
    assert ["channels", "3"] in [line.split() for line in out.splitlines()]
    assert "label map" not in out


def test_unusual_things_are_warnings_on_stderr(tmp_path: Path, capsys: Capture) -> None:
    image = HU.astype(np.float32)
    image[0, 0, 0] = np.nan
    write_nifti(tmp_path / "a.nii.gz", image, AFFINE)
    assert main(["inspect", str(tmp_path / "a.nii.gz")]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("warning: ")
    assert ["warnings", "1"] in [line.split() for line in out.splitlines()]
    assert "1 voxels are NaN or infinite" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent.nii.gz"], "no such file"),
        (["a.nii.gz", "-o", "page.jpg"], "no PNG name"),
        (["a.nii.gz", "--series", "2"], "--series is for DICOM"),
        (["ct", "--affine", "sform"], "--affine is for NIfTI"),
        (["cut.nii.gz", "-o", "page.png"], "cut.nii.gz"),
        (["mask.png", "-o", "mask.png"], "is the input itself"),
        (["a.nii.gz", "-o", "a.nii.gz/page.png"], "cannot be written"),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    series(tmp_path / "ct")
    write_nifti(tmp_path / "a.nii.gz", HU, AFFINE)
    write_picture(tmp_path / "mask.png", np.zeros((8, 8), np.uint8))
    Path("cut.nii.gz").write_bytes(Path("a.nii.gz").read_bytes()[:900])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["inspect", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_structures_are_sent_to_convert(tmp_path: Path, capsys: Capture) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = UID("1.2.7"), ExplicitVRLittleEndian
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = RTStructureSetStorage, "1.2.7", "RTSTRUCT"
    dcmwrite(tmp_path / "drawn.dcm", one)
    assert main(["inspect", str(tmp_path / "drawn.dcm")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "unetworks convert" in err


def test_neither_torch_nor_monai_is_imported(tmp_path: Path) -> None:
    page = tmp_path / "page.png"
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(series(tmp_path / "ct")), "-o", str(page)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert page.is_file()


def test_a_page_of_a_picture_is_chosen_by_its_number(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "stack.tif"
    pages = [Image.fromarray(np.full((6, 8), value, np.uint8)) for value in (40, 90)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert main(["inspect", str(path)]) == 2
    assert "name one with --series N" in capsys.readouterr().err
    assert main(["inspect", str(path), "--series", "2"]) == 0
    out = capsys.readouterr().out
    assert ["90", "48"] in [line.split() for line in out.splitlines()]
