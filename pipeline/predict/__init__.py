"""Prediction: from a scan or a picture to a mask on its own grid."""

from pipeline.predict.bundle import MaskWriter, datalist, infer
from pipeline.predict.options import SegmentOptions
from pipeline.predict.run import Options, Outcome, predict

__all__ = ["MaskWriter", "Options", "Outcome", "SegmentOptions", "datalist", "infer", "predict"]
