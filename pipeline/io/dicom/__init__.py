"""DICOM: series, multi-frame objects, DICOMDIR and zip as volumes; RTSTRUCT and SEG as labels."""

from pipeline.io.dicom.read import read_dicom, read_dicom_header

__all__ = ["read_dicom", "read_dicom_header"]
