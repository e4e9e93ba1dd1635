"""DICOM: series, multi-frame objects, DICOMDIR and zip as volumes; RTSTRUCT and SEG as labels."""

from pipeline.io.dicom.labels import is_dicom_label, read_dicom_label
from pipeline.io.dicom.painting import LabelChoice, LabelMap
from pipeline.io.dicom.read import read_dicom, read_dicom_header

__all__ = [
    "LabelChoice",
    "LabelMap",
    "is_dicom_label",
    "read_dicom",
    "read_dicom_header",
    "read_dicom_label",
]
