"""Engines: one network at one precision, each behind the same interface."""

from pipeline.engines.auto import AUTO, DEMAND, Choice, choose
from pipeline.engines.table import ENGINES, PRECISIONS, open_engine

__all__ = ["AUTO", "DEMAND", "ENGINES", "PRECISIONS", "Choice", "choose", "open_engine"]
