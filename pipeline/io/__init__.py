"""Files to and from one `Volume`: NIfTI, DICOM, pictures. Starts without torch."""

from typing import TYPE_CHECKING

from pipeline.io.atomic import atomic_path, left_drafts, made_folder, not_writable
from pipeline.io.grid import corner_distance, to_grid
from pipeline.io.kinds import is_same_file, kind_of
from pipeline.io.locked import locked
from pipeline.io.nifti_write import write_nifti
from pipeline.io.options import Reading
from pipeline.io.padding import without_padding
from pipeline.io.picture import write_picture
from pipeline.io.read import read_header, read_image, read_label
from pipeline.io.stamps import file_stamps
from pipeline.io.volume import Affine, Header, Volume, spacing_of

if TYPE_CHECKING:
    from pipeline.io.dicom import LabelChoice, LabelMap, is_dicom_label, read_dicom_label
    from pipeline.io.privacy import below_input, patient_of

_LATE = {
    "LabelChoice": "pipeline.io.dicom",
    "LabelMap": "pipeline.io.dicom",
    "is_dicom_label": "pipeline.io.dicom",
    "below_input": "pipeline.io.privacy",
    "patient_of": "pipeline.io.privacy",
    "read_dicom_label": "pipeline.io.dicom",
}
"""What only some callers need, imported when it is first asked for."""

__all__ = [
    "Affine",
    "Header",
    "LabelChoice",
    "LabelMap",
    "Reading",
    "Volume",
    "atomic_path",
    "below_input",
    "corner_distance",
    "file_stamps",
    "is_dicom_label",
    "is_same_file",
    "kind_of",
    "left_drafts",
    "locked",
    "made_folder",
    "not_writable",
    "patient_of",
    "read_dicom_label",
    "read_header",
    "read_image",
    "read_label",
    "spacing_of",
    "to_grid",
    "without_padding",
    "write_nifti",
    "write_picture",
]


def __getattr__(name: str) -> object:
    """Import the parts of `_LATE`."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATE[name]), name)
