"""From a data set's facts to a plan, by rules a reader can follow; no torch here."""

from pipeline.planning.case import read_case
from pipeline.planning.facts import Fingerprint
from pipeline.planning.fingerprint import fingerprint
from pipeline.planning.network import NetworkFacts
from pipeline.planning.overrides import Overrides
from pipeline.planning.plan import Plan, make_plan
from pipeline.planning.report import markdown_report, text_report
from pipeline.planning.windows import WINDOWS, window_interval

__all__ = [
    "WINDOWS",
    "Fingerprint",
    "NetworkFacts",
    "Overrides",
    "Plan",
    "fingerprint",
    "make_plan",
    "markdown_report",
    "read_case",
    "text_report",
    "window_interval",
]
