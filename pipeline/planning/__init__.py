"""From a data set's facts to a plan, by rules a reader can follow; no torch here."""

from pipeline.planning.fingerprint import Fingerprint, fingerprint, read_case
from pipeline.planning.overrides import Overrides
from pipeline.planning.plan import Plan, make_plan
from pipeline.planning.report import report
from pipeline.planning.windows import WINDOWS, window_interval

__all__ = [
    "WINDOWS",
    "Fingerprint",
    "Overrides",
    "Plan",
    "fingerprint",
    "make_plan",
    "read_case",
    "report",
    "window_interval",
]
