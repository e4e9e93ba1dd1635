"""A synthetic CT of the upper abdomen: drawn from a seed, on any grid, as NIfTI and DICOM."""

from pipeline.phantom.anatomy import draw_patient
from pipeline.phantom.cache import ensure
from pipeline.phantom.cohort import Member, cohort
from pipeline.phantom.dicomseries import write_series
from pipeline.phantom.patient import LABELS, Patient
from pipeline.phantom.render import SPACING_MM, Rendering, render

__all__ = [
    "LABELS",
    "SPACING_MM",
    "Member",
    "Patient",
    "Rendering",
    "cohort",
    "draw_patient",
    "ensure",
    "render",
    "write_series",
]
