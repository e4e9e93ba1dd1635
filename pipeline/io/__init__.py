"""Files to and from one `Volume`: NIfTI, DICOM series, pictures. Starts without torch."""

from pipeline.io.atomic import atomic_path
from pipeline.io.kinds import kind_of
from pipeline.io.nifti_write import write_nifti
from pipeline.io.options import Reading
from pipeline.io.picture import write_picture
from pipeline.io.read import read_header, read_image, read_label
from pipeline.io.volume import Affine, Header, Volume, spacing_of

__all__ = [
    "Affine",
    "Header",
    "Reading",
    "Volume",
    "atomic_path",
    "kind_of",
    "read_header",
    "read_image",
    "read_label",
    "spacing_of",
    "write_nifti",
    "write_picture",
]
