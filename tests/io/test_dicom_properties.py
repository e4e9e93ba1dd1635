"""Properties of the DICOM reader, the scanner against pydicom, and the real series."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import UID

from pipeline.io import read_header, read_image, read_label
from pipeline.io.dicom.elements import SEQUENCES
from pipeline.io.dicom.entries import file_entry
from pipeline.io.dicom.fallback import read_elements
from pipeline.io.dicom.scanner import ShortError, UnusualError, scan
from pipeline.io.kinds import looks_like_dicom

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Placed = Callable[..., bool]
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


@PROPERTY
@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 8)] * 3),
    origin=st.tuples(*[st.floats(-900, 900)] * 3),
    tilt=st.sampled_from([0.0, 0.0, 0.3, -0.5]),
    seed=st.integers(0, 99),
)
def test_any_orientation_spacing_tilt_and_order_keeps_every_world_point(
    tmp_path_factory: pytest.TempPathFactory,
    hu: Any,
    make_slices: Make,
    save_slices: Save,
    is_placed: Placed,
    angles: tuple[float, float, float],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    tilt: float,
    seed: int,
) -> None:
    turned = rotation(angles)
    row, column = turned[:, 0], turned[:, 1]
    slices = make_slices(hu, row=tuple(row), column=tuple(column), spacing=spacing, origin=origin)
    step = np.cross(row, column) * spacing[2] + tilt * spacing[2] * column
    for k, one in enumerate(slices):
        one.ImagePositionPatient = [f"{value:.6f}" for value in np.array(origin) + step * k]
        one.PixelSpacing = [f"{spacing[1]:.9f}", f"{spacing[0]:.9f}"]
    np.random.default_rng(seed).shuffle(slices)
    volume = read_image(save_slices(tmp_path_factory.mktemp("ct"), slices))
    assert volume.array.shape == (7, 5, 6)
    assert is_placed(
        volume, row=tuple(row), column=tuple(column), spacing=spacing, origin=origin,
        step=tuple(step), atol=1e-4,
    )  # fmt: skip
    assert bool(volume.warnings) == bool(tilt)


@PROPERTY
@given(
    missing=st.sets(st.integers(1, 8), min_size=1, max_size=7),
    thick=st.floats(0.3, 9),
)
def test_no_set_of_missing_slices_inside_is_overlooked(
    tmp_path_factory: pytest.TempPathFactory,
    make_slices: Make,
    save_slices: Save,
    missing: set[int],
    thick: float,
) -> None:
    kept = [k for k in range(10) if k not in missing]
    hu = np.zeros((3, 2, 10), np.int16)
    slices = make_slices(hu, spacing=(1, 1, thick))
    folder = save_slices(tmp_path_factory.mktemp("ct"), [slices[k] for k in kept])
    steps = set(np.diff(kept).tolist())
    if len(steps) == 1:  # every second or third slice is an even series of its own
        assert read_image(folder).spacing == pytest.approx((1, 1, thick * steps.pop()), rel=1e-4)
    else:
        with pytest.raises(Exception, match=r"a gap of|an uneven step"):
            read_image(folder)


def compare(path: Path) -> bool:
    """Hold the scanner's view of a file against pydicom's; whether it has one."""
    entry = file_entry(path)
    try:
        ours = scan(entry.read(), entry.size)
    except (UnusualError, ShortError):
        return False
    theirs = read_elements(entry)
    assert ours.syntax == theirs.syntax
    assert ours.media_class == theirs.media_class
    if 0x00280010 not in ours.values:
        return True  # no image: the scanner does not look any further
    assert set(ours.values) == set(theirs.values)
    for tag, value in ours.values.items():
        if tag not in SEQUENCES:
            # the character set is all that pydicom has converted already
            assert value == theirs.values[tag] or (tag, value.strip()) == (
                0x00080005,
                theirs.values[tag],
            )
    if ours.pixels is None or theirs.pixels is None:
        assert ours.pixels is theirs.pixels
    else:
        assert ours.pixels.offset == theirs.pixels.offset
        assert ours.pixels.length == theirs.pixels.length
    return True


TEXT = st.text(st.characters(codec="ascii", exclude_characters="\\"), max_size=40)


@PROPERTY
@given(
    implicit=st.booleans(),
    undefined=st.booleans(),
    description=TEXT,
    private=st.lists(st.binary(max_size=300), max_size=6),
    depth=st.integers(0, 4),
)
def test_scanner_and_pydicom_agree_on_every_header(
    tmp_path_factory: pytest.TempPathFactory,
    hu: Any,
    make_slices: Make,
    implicit: bool,
    undefined: bool,
    description: str,
    private: list[bytes],
    depth: int,
) -> None:
    one = make_slices(hu[..., :1], SeriesDescription=description)[0]
    nested = pydicom.Dataset()
    nested.Rows, nested.SeriesDescription = 3, "inside"
    for _ in range(depth):
        outer = pydicom.Dataset()
        outer.ReferencedSeriesSequence = pydicom.Sequence([nested, copy.deepcopy(nested)])
        outer["ReferencedSeriesSequence"].is_undefined_length = undefined
        nested = outer
    one.ReferencedStudySequence = pydicom.Sequence([nested])
    one["ReferencedStudySequence"].is_undefined_length = undefined
    one.add_new(0x00110010, "LO", "SOMEONE")
    for number, data in enumerate(private):
        one.add_new(0x00111000 + number, "OB", data + b"\0" * (len(data) % 2))
    one.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2{'' if implicit else '.1'}")
    path = tmp_path_factory.mktemp("scan") / "0"
    pydicom.dcmwrite(path, one, implicit_vr=implicit, little_endian=True, force_encoding=True)
    assert compare(path)


def test_scanner_and_pydicom_agree_on_pydicoms_own_files() -> None:
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    files = [file for file in folder.iterdir() if file.suffix == ".dcm"]
    dicom = [f for f in files if looks_like_dicom(f.read_bytes()[:400], f.stat().st_size)]
    assert sum(compare(file) for file in dicom) > 20


def test_the_header_has_the_grid_without_the_pixels(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    slices = make_slices(hu)
    slices[2].PixelData = b""
    header = read_header(save_slices(tmp_path / "ct", slices))
    assert header.shape == (7, 5, 6)
    assert header.spacing == pytest.approx((0.5, 0.75, 2.0))
    assert (header.channels, header.dtype, header.modality) == (1, "uint16", "CT")


def data_set(name: str) -> Path:
    root = os.environ.get("UNETWORKS_DATA", "")
    folder = Path(root) / name
    if not root or not folder.is_dir():
        pytest.skip(f"UNETWORKS_DATA names no folder with {name}")
    return folder


def test_a_real_jpeg_2000_series_without_uids_lies_on_its_label_map() -> None:
    folder = data_set("torso_ct")
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


def test_the_real_series_of_sts_ct_lie_on_their_masks() -> None:
    for case in sorted((data_set("sts_ct") / "test").iterdir()):
        volume = read_image(case / "dicom")
        mask = read_label(case / "label.nii.gz")
        assert volume.warnings == ()
        assert volume.array.dtype == np.int16
        assert volume.shape == mask.shape
        assert volume.affine is not None
        assert mask.affine is not None
        assert np.abs(volume.affine - mask.affine).max() < 1e-4
