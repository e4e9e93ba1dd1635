"""Which files of a folder are slices, which are something else, and which are lost ones."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.io.kinds import PREAMBLE_BYTES, is_dicom_file

if TYPE_CHECKING:
    from pydicom import Dataset

_DAMAGED = "fetch or export the series again"
_HEADER_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID",
    "FrameOfReferenceUID", "Modality", "SeriesDescription", "SeriesDate", "SeriesTime",
    "AcquisitionDate", "AcquisitionTime", "ImageType", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "Rows", "Columns",
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept",
    "ModalityLUTSequence",
]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One DICOM file with its header; the pixels stay on disk."""

    path: Path
    header: "Dataset"

    @property
    def columns(self) -> int:
        """Columns of the pixel matrix."""
        return int(self.header.Columns)

    @property
    def rows(self) -> int:
        """Rows of the pixel matrix."""
        return int(self.header.Rows)


@dataclass(frozen=True, slots=True)
class Scan:
    """The slices of a folder, unsorted, and how many objects without pixels lie beside them."""

    slices: tuple[Slice, ...]
    others: int


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom's remarks on odd but readable headers; our own checks decide."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def scan_files(path: str | Path) -> Scan:
    """Read the headers of a DICOM file, or of all DICOM files in a folder.

    Raises:
        DataError: No image inside, a header that breaks off, or a stump of a file named like
            the slices beside it.
    """
    folder = Path(path)
    files = [folder] if folder.is_file() else sorted(p for p in folder.iterdir() if p.is_file())
    members = [file for file in files if is_dicom_file(file)]
    _refuse_lost(files, members)
    with quiet_pydicom():
        found = [one for file in members if (one := _read_header(file)) is not None]
    if not found:
        raise DataError(
            f"{path}: no DICOM image inside ({len(members)} DICOM files of other kinds)",
            hint="give the folder that holds the slices themselves",
        )
    return Scan(tuple(found), len(members) - len(found))


def _refuse_lost(files: list[Path], members: list[Path]) -> None:
    """Refuse stumps named like slices: a full disk leaves these while copying.

    A file shorter than the preamble is no DICOM any more; at an end of the stack no gap tells.
    """
    names = {_pattern(file) for file in members}
    for file in files:
        size = file.stat().st_size
        if _pattern(file) in names and size < PREAMBLE_BYTES:
            raise DataError(f"{file}: named like a slice, but {size} bytes long", hint=_DAMAGED)


def _pattern(file: Path) -> str:
    return file.suffix or re.sub(r"\d+", "#", file.name)


def _read_header(file: Path) -> Slice | None:
    """Return the file's header, or None where it holds no pixels at all."""
    import pydicom

    try:
        header = pydicom.dcmread(
            file, stop_before_pixels=True, force=True, specific_tags=list(_HEADER_TAGS)
        )
        for _ in header:  # converts every value now, while pydicom is kept quiet
            pass
        size = (header.get("Rows"), header.get("Columns"))
        sop_class = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    except Exception as error:  # pydicom raises whatever its parser trips over
        raise DataError(f"{file}: unreadable DICOM header ({error})", hint=_DAMAGED) from error
    if None not in size:
        return Slice(file, header)
    if _breaks_off(str(sop_class or ""), header):
        raise DataError(f"{file}: the DICOM header breaks off", hint=_DAMAGED)
    return None


def _breaks_off(sop_class: str, header: "Dataset") -> bool:
    """Whether a header without a pixel matrix is that of an image, or ends too early to tell.

    A report has a class that the standard names. A private object without pixels is believed if
    its header goes on at least to the series; a class cut in the middle looks private, too.
    """
    from pydicom.uid import UID

    name = UID(sop_class).name
    if name == sop_class:
        return not header.get("SeriesInstanceUID")
    return "Image Storage" in name
