"""Scores of masks; nothing here but `running` needs torch, and nothing imports `running`."""

from pipeline.metrics.cohort import score_pairs
from pipeline.metrics.grid import onto_grid, same_grid
from pipeline.metrics.pairs import Pair, pair_files, pair_manifest
from pipeline.metrics.score import Classes, Score, State, score_case
from pipeline.metrics.summary import Mean, Summary, summarise
from pipeline.metrics.surface import boundary, surface_distances
from pipeline.metrics.table import format_table, read_table, write_table

__all__ = [
    "Classes",
    "Mean",
    "Pair",
    "Score",
    "State",
    "Summary",
    "boundary",
    "format_table",
    "onto_grid",
    "pair_files",
    "pair_manifest",
    "read_table",
    "same_grid",
    "score_case",
    "score_pairs",
    "summarise",
    "surface_distances",
    "write_table",
]
