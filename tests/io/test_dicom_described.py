from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pipeline.errors import DataError
from pipeline.io.dicom.described import describe_drawing, series_uids
from tests.drawings import write_rtstruct, write_seg, write_series

BOX = np.zeros((6, 6, 4), bool)
BOX[1:3, 1:3, 1:3] = True


def item(**attributes: object) -> Dataset:
    one = Dataset()
    for name, value in attributes.items():
        setattr(one, name, value)
    return one


def test_an_rtstruct_names_its_drawn_structures_and_series(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "rs.dcm", {"Liver": BOX, "empty": BOX & False})
    found = describe_drawing(path)
    assert found is not None
    assert (found.kind, found.names, found.series) == ("rtstruct", ("Liver",), frozenset())
    dataset = dcmread(path)
    series = item(SeriesInstanceUID="1.2.3")
    study = item(RTReferencedSeriesSequence=Sequence([series]))
    frame = item(RTReferencedStudySequence=Sequence([study]))
    dataset.ReferencedFrameOfReferenceSequence = Sequence([frame])
    dcmwrite(path, dataset)
    again = describe_drawing(path)
    assert again is not None
    assert again.series == {"1.2.3"}


def test_a_seg_names_its_segments_and_series(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "seg.dcm", {"Liver": BOX, "Spleen": ~BOX})
    dataset = dcmread(path)
    dataset.ReferencedSeriesSequence = Sequence([item(SeriesInstanceUID="1.2.3")])
    dcmwrite(path, dataset)
    found = describe_drawing(path)
    assert found is not None
    assert (found.kind, found.names) == ("seg", ("Liver", "Spleen"))
    assert found.series == {"1.2.3"}


def test_other_files_are_no_drawings(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "ct", np.zeros((6, 6, 4), np.int16))
    (tmp_path / "x.txt").write_text("x")
    assert describe_drawing(folder / "0.dcm") is None
    assert describe_drawing(tmp_path / "x.txt") is None
    assert describe_drawing(folder) is None
    assert series_uids(folder) == {"1.2.3"}


def test_a_damaged_drawing_is_told(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "rs.dcm", {"Liver": BOX})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"rs\.dcm"):
        describe_drawing(path)
