"""A data set's files, verified before training: what is wrong, by how much, and the remedy."""

from pipeline.check.facts import CaseFacts, ImageFacts, LabelFacts
from pipeline.check.findings import Finding, Report
from pipeline.check.run import check_for_training, check_manifest

__all__ = [
    "CaseFacts",
    "Finding",
    "ImageFacts",
    "LabelFacts",
    "Report",
    "check_for_training",
    "check_manifest",
]
