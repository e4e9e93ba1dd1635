"""Rows D100 to D109: RTSTRUCT as labels."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from pipeline.errors import DataError, GeometryError
from pipeline.io import LabelChoice, is_dicom_label, read_dicom_label, read_label
from pipeline.io.contours import even_odd

Make = Callable[..., list[Any]]
Save = Callable[..., Path]
Contour = tuple[str, list[list[float]]]


def structure_set(
    path: Path,
    rois: list[tuple[str, list[Contour] | None]],
    *,
    frame: str = "1.2.9",
    series: str = "1.2.3",
    image: str = "1.2.3.1",
) -> Path:
    """An RTSTRUCT; contours are (type, points in LPS mm), None leaves the sequence out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.481.3")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.77")
    meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3.77"
    listed, drawn = [], []
    for number, (name, contours) in enumerate(rois, 1):
        roi, contour_item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        contour_item.ReferencedROINumber = number
        listed.append(roi)
        if contours is not None:
            items = []
            for kind, points in contours:
                item = Dataset()
                item.ContourGeometricType = kind
                item.NumberOfContourPoints = len(points)
                item.ContourData = [f"{value:.6f}" for point in points for value in point]
                items.append(item)
            contour_item.ContourSequence = Sequence(items)
        drawn.append(contour_item)
    one.StructureSetROISequence, one.ROIContourSequence = Sequence(listed), Sequence(drawn)
    frames, study, one_series, one_image = Dataset(), Dataset(), Dataset(), Dataset()
    one_image.ReferencedSOPInstanceUID = image
    one_series.SeriesInstanceUID = series
    one_series.ContourImageSequence = Sequence([one_image])
    study.RTReferencedSeriesSequence = Sequence([one_series])
    frames.FrameOfReferenceUID = frame
    frames.RTReferencedStudySequence = Sequence([study])
    one.ReferencedFrameOfReferenceSequence = Sequence([frames])
    dcmwrite(path, one)
    return path


SHAPE = (12, 10, 6)


@pytest.fixture
def ct(tmp_path: Path, make_slices: Make, save_slices: Save) -> Path:
    return save_slices(tmp_path / "ct", make_slices(np.zeros(SHAPE, np.int16)))


def lps(columns_rows: list[tuple[float, float]], k: float) -> list[list[float]]:
    """Corners in voxels to points of the test's series: .5 x .75 x 2 mm."""
    return [[-10 + 0.5 * i, 20 + 0.75 * j, -30 + 2.0 * k] for i, j in columns_rows]


def box(i0: float, j0: float, i1: float, j1: float, k: float) -> Contour:
    return "CLOSED_PLANAR", lps([(i0, j0), (i1, j0), (i1, j1), (i0, j1)], k)


def boxed(i: slice, j: slice, k: Any) -> Any:
    expected = np.zeros(SHAPE, bool)
    expected[i, j, k] = True
    return expected


def read(path: Path, ct: Path, *rois: str | int, **options: Any) -> Any:
    return read_dicom_label(path, ct, LabelChoice(rois=rois, **options))


def test_a_contour_fills_the_pixels_whose_centres_it_holds(tmp_path: Path, ct: Path) -> None:
    rs = structure_set(tmp_path / "rs.dcm", [("a", [box(1.5, 2.5, 5.5, 6.5, 3)])])
    assert is_dicom_label(rs)
    assert not is_dicom_label(next(iter(ct.iterdir())))
    found = read(rs, ct)
    assert found.names == {"a": 1}
    assert found.volume.warnings == ()
    assert np.array_equal(found.volume.array, boxed(slice(2, 6), slice(3, 7), 3))
    assert found.volume.array.dtype == np.uint8
    assert np.array_equal(read_label(rs, reference=ct).array, found.volume.array)
    with pytest.raises(DataError, match="RTSTRUCT or SEG") as error:
        read_label(rs)
    assert "--reference" in error.value.hint


def test_d100_an_inner_contour_is_a_hole(tmp_path: Path, ct: Path) -> None:
    contours = [box(0.5, 0.5, 9.5, 8.5, 2), box(3.5, 3.5, 6.5, 5.5, 2), box(4.5, 3.5, 5.5, 5.5, 2)]
    found = read(structure_set(tmp_path / "rs.dcm", [("a", contours)]), ct)
    expected = boxed(slice(1, 10), slice(1, 9), 2)
    expected[4:7, 4:6, 2] = False
    expected[5, 4:6, 2] = True  # an island in the hole
    assert np.array_equal(found.volume.array, expected)


def test_d100_a_keyhole_is_a_hole(tmp_path: Path, ct: Path) -> None:
    outer = [(0.5, 0.5), (9.5, 0.5), (9.5, 8.5), (0.5, 8.5), (0.5, 4.0)]
    inner = [(3.5, 4.0), (3.5, 5.5), (6.5, 5.5), (6.5, 2.5), (3.5, 2.5), (3.5, 4.0), (0.5, 4.0)]
    contour = ("CLOSED_PLANAR", lps(outer + inner, 2))
    found = read(structure_set(tmp_path / "rs.dcm", [("a", [contour])]), ct)
    expected = boxed(slice(1, 10), slice(1, 9), 2)
    expected[4:7, 3:6, 2] = False
    assert np.array_equal(found.volume.array, expected)


def test_d100_several_contours_in_a_slice_are_all_drawn(tmp_path: Path, ct: Path) -> None:
    contours = [box(0.5, 0.5, 2.5, 2.5, 2), box(6.5, 5.5, 8.5, 7.5, 2)]
    found = read(structure_set(tmp_path / "rs.dcm", [("a", contours)]), ct)
    expected = boxed(slice(1, 3), slice(1, 3), 2) | boxed(slice(7, 9), slice(6, 8), 2)
    assert np.array_equal(found.volume.array, expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(-8, 48), st.integers(-8, 40)), min_size=3, max_size=9),
        min_size=1,
        max_size=3,
    )
)
def test_even_odd_is_what_counting_crossings_of_a_ray_gives(
    corners: list[list[tuple[int, int]]],
) -> None:
    # odd quarters: no corner lies on a row or a column of centres
    contours = [np.array(points) / 4 + 1 / 8 for points in corners]
    mask = even_odd(contours, (11, 9))
    for i, j in np.ndindex(11, 9):
        crossings, ties = 0, False
        for points in contours:
            for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
                if (y0 > j) != (y1 > j):
                    x = x0 + (j - y0) / (y1 - y0) * (x1 - x0)
                    crossings += x < i
                    ties |= abs(x - i) < 1e-9  # a centre on an edge is on neither side
        assert ties or mask[i, j] == (crossings % 2 == 1)


@pytest.mark.parametrize(("off", "told"), [(0.004, False), (0.05, True), (0.45, True)])
def test_d101_a_contour_off_the_planes_is_drawn_on_the_nearest(
    off: float, told: bool, tmp_path: Path, ct: Path
) -> None:
    contours = [box(1.5, 2.5, 5.5, 6.5, 3 + off), box(1.5, 2.5, 5.5, 6.5, 2)]
    found = read(structure_set(tmp_path / "rs.dcm", [("a", contours)]), ct)
    assert np.array_equal(found.volume.array, boxed(slice(2, 6), slice(3, 7), slice(2, 4)))
    assert bool(found.volume.warnings) == told
    assert all("1 contours off the slice planes" in line for line in found.volume.warnings)


def test_d101_contours_outside_the_volume_are_counted_and_refused_if_all_are(
    tmp_path: Path, ct: Path
) -> None:
    inside, outside = box(1.5, 2.5, 5.5, 6.5, 5), box(1.5, 2.5, 5.5, 6.5, 6)
    found = read(structure_set(tmp_path / "rs.dcm", [("a", [inside, outside])]), ct)
    assert found.volume.warnings == ("a: 1 contours outside the series left out",)
    assert np.array_equal(found.volume.array, boxed(slice(2, 6), slice(3, 7), 5))
    with pytest.raises(GeometryError, match="all 1 contours"):
        read(structure_set(tmp_path / "out.dcm", [("a", [outside])]), ct)


def test_d102_contours_across_the_slices_are_refused(tmp_path: Path, ct: Path) -> None:
    points: list[list[float]] = [[-9, 21, -28], [-6, 21, -28], [-6, 21, -22], [-9, 21, -22]]
    rs = structure_set(tmp_path / "rs.dcm", [("a", [("CLOSED_PLANAR", points)])])
    with pytest.raises(GeometryError, match=r"6\.00 mm across the slices"):
        read(rs, ct)


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"])
def test_d103_shapes_that_enclose_nothing_are_skipped_and_told(
    kind: str, tmp_path: Path, ct: Path
) -> None:
    contours = [
        box(1.5, 2.5, 5.5, 6.5, 3),
        (kind, lps([(1, 1), (9, 1), (9, 9)], 1)),
        ("CLOSED_PLANAR", lps([(1, 1)], 1)),
        ("CLOSED_PLANAR", lps([(1, 1), (4, 4)], 1)),
    ]
    found = read(structure_set(tmp_path / "rs.dcm", [("a", contours)]), ct)
    assert np.array_equal(found.volume.array, boxed(slice(2, 6), slice(3, 7), 3))
    assert found.volume.warnings == (
        f"a: 1 x {kind} skipped",
        "a: 2 x contours of 1 or 2 points skipped",
    )


@pytest.mark.parametrize("contours", [None, []])
def test_d104_an_empty_structure_is_an_empty_mask_unless_it_is_asked_for(
    contours: list[Contour] | None, tmp_path: Path, ct: Path
) -> None:
    rois = [("empty", contours), ("a", [box(1.5, 2.5, 5.5, 6.5, 3)])]
    rs = structure_set(tmp_path / "rs.dcm", rois)
    found = read(rs, ct)
    assert found.names == {"empty": 1, "a": 2}
    assert np.array_equal(found.volume.array, 2 * boxed(slice(2, 6), slice(3, 7), 3))
    assert "empty has no contour" in found.volume.warnings[0]
    with pytest.raises(DataError, match="empty has no contour"):
        read(rs, ct, "empty")
    assert read(rs, ct, "a").names == {"a": 1}


@pytest.mark.parametrize("other", ["Liver", "liver", " LI VER"])
def test_d105_names_that_fit_two_structures_are_picked_by_number(
    other: str, tmp_path: Path, ct: Path
) -> None:
    rois: Any = [("Liver", [box(0.5, 0.5, 2.5, 2.5, 1)]), (other, [box(5.5, 5.5, 8.5, 8.5, 4)])]
    rs = structure_set(tmp_path / "rs.dcm", rois)
    for wanted in ((), ("Liver",)):
        with pytest.raises(DataError, match=r"\[1\] Liver, \[2\]") as error:
            read(rs, ct, *wanted)
        assert "--roi N" in error.value.hint
    assert np.array_equal(read(rs, ct, 2).volume.array, boxed(slice(6, 9), slice(6, 9), 4))
    both = read(rs, ct, "2", "1")
    assert list(both.names.values()) == [1, 2]
    assert both.volume.array[1, 1, 1] == 2
    with pytest.raises(DataError, match="no structure is called 'spleen'"):
        read(rs, ct, "spleen")


@pytest.mark.parametrize("option", [{"frame": "1.2.10"}, {"series": "1.2.4"}, {"frame": ""}])
def test_d106_another_frame_or_series_is_refused_unless_forced(
    option: dict[str, str], tmp_path: Path, ct: Path
) -> None:
    rois: Any = [("a", [box(1.5, 2.5, 5.5, 6.5, 3)])]
    rs = structure_set(tmp_path / "rs.dcm", rois, **option)
    with pytest.raises(GeometryError) as error:
        read(rs, ct)
    assert "--force-frame" in error.value.hint
    found = read(rs, ct, force_frame=True)
    assert np.array_equal(found.volume.array, boxed(slice(2, 6), slice(3, 7), 3))
    assert "accepted" in found.volume.warnings[0]


def test_d107_overlapping_structures_need_an_order_or_channels(tmp_path: Path, ct: Path) -> None:
    rois: Any = [("a", [box(0.5, 0.5, 4.5, 4.5, 3)]), ("b", [box(2.5, 2.5, 6.5, 6.5, 3)])]
    rs = structure_set(tmp_path / "rs.dcm", rois)
    with pytest.raises(DataError, match="a and b overlap in 4 voxels") as error:
        read(rs, ct)
    assert "--priority" in error.value.hint
    assert read(rs, ct, priority=("a",)).volume.array[3, 3, 3] == 1
    assert read(rs, ct, priority=("b", "a")).volume.array[3, 3, 3] == 2
    channels = read(rs, ct, channels=True).volume.array
    assert channels.shape == (*SHAPE, 2)
    assert channels.sum() == 32
    with pytest.raises(DataError, match="no structure 'c'"):
        read(rs, ct, priority=("c",))


def test_d108_slices_without_a_contour_stay_empty_and_are_told(tmp_path: Path, ct: Path) -> None:
    contours = [box(1.5, 2.5, 5.5, 6.5, k) for k in (1, 4)]
    found = read(structure_set(tmp_path / "rs.dcm", [("a", contours)]), ct)
    assert np.array_equal(found.volume.array, boxed(slice(2, 6), slice(3, 7), [1, 4]))
    assert found.volume.warnings == ("a: 2 slices without a contour between slices with one",)


def test_d109_references_that_name_no_slice_are_told(tmp_path: Path, ct: Path) -> None:
    rois: Any = [("a", [box(1.5, 2.5, 5.5, 6.5, 3)])]
    found = read(structure_set(tmp_path / "rs.dcm", rois, image="1.9.9"), ct)
    assert np.array_equal(found.volume.array, boxed(slice(2, 6), slice(3, 7), 3))
    assert "placed by coordinates" in found.volume.warnings[0]


def test_d109_the_structures_of_sts_ct_reproduce_the_published_masks() -> None:
    root = os.environ.get("UNETWORKS_DATA", "")
    if not root or not (Path(root) / "sts_ct").is_dir():
        pytest.skip("UNETWORKS_DATA names no folder with sts_ct")
    for case in sorted((Path(root) / "sts_ct" / "test").iterdir()):
        found = read_dicom_label(case / "RS.dcm", case / "dicom")
        assert np.array_equal(found.volume.array, read_label(case / "label.nii.gz").array)


def test_damaged_contours_are_refused(tmp_path: Path, ct: Path) -> None:
    rs = structure_set(tmp_path / "rs.dcm", [("a", [("CLOSED_PLANAR", [[1.0, 2.0]])])])
    with pytest.raises(DataError, match="unreadable contours"):
        read(rs, ct)
    whole = rs.read_bytes()
    rs.write_bytes(whole[:300])
    with pytest.raises(DataError, match=r"rs\.dcm"):
        read(rs, ct)
