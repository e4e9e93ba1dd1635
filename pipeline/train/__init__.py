"""Training: what the configs build, and the run that uses it."""

from pipeline.train.average import Average
from pipeline.train.data import check_data
from pipeline.train.dataset import PreparedDataset
from pipeline.train.parts import handler, loader, place, prepared
from pipeline.train.pictures import ValidationPictures
from pipeline.train.report import EpochLog, ScoreTable
from pipeline.train.sampling import EpochSampler, EpochSeed
from pipeline.train.schedule import Clock, WarmCosine
from pipeline.train.state import StateSaver
from pipeline.train.step import TrainStep, amp_dtype
from pipeline.train.validation import BestWeights, Validation
from pipeline.train.workflow import Training, evaluate, saved_settings

__all__ = [
    "Average",
    "BestWeights",
    "Clock",
    "EpochLog",
    "EpochSampler",
    "EpochSeed",
    "PreparedDataset",
    "ScoreTable",
    "StateSaver",
    "TrainStep",
    "Training",
    "Validation",
    "ValidationPictures",
    "WarmCosine",
    "amp_dtype",
    "check_data",
    "evaluate",
    "handler",
    "loader",
    "place",
    "prepared",
    "saved_settings",
]
