"""A cross-validation summed up: the test scores of its runs, over patients."""

import json
import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError, InvalidValueError, PipelineError
from pipeline.manifests import known_manifest, load_manifest
from pipeline.metrics import Score, read_table
from pipeline.tracking.query import RunBook, RunRecord

TABLE = "scores.csv"
MEAN = "mean"


@dataclass(frozen=True, slots=True)
class FoldScores:
    """What one run reported of its held-out cases.

    Attributes:
        run: The run.
        rows: Scores of its test cases, one a case and class.
        patients: Patient of each case; None where the manifest does not tell.
    """

    run: RunRecord
    rows: tuple[Score, ...]
    patients: Mapping[str, str] | None

    def patient(self, case: str) -> str:
        """The patient of a case; a case whose patient is not known is one of its own."""
        known = (self.patients or {}).get(case)
        return f"patient {known}" if known is not None else f"{self.run.id} {case}"

    @property
    def all_patients(self) -> set[str]:
        """The patients that were held out."""
        return {self.patient(row.case) for row in self.rows}


@dataclass(frozen=True, slots=True)
class Spread:
    """Dice of one class over patients: their mean, sample deviation, ends and number."""

    label: str
    mean: float
    deviation: float
    lowest: float
    highest: float
    count: int


def fold_scores(book: RunBook, run: RunRecord) -> FoldScores:
    """Read the table that a run kept, and the patients of its cases from its manifest.

    Raises:
        DataError: The run has no table of test scores.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = book.download(run, TABLE, Path(folder))
        if path is None:
            raise DataError(f"no test scores in {run.name}", hint="finish or resume this run first")
        rows = tuple(read_table(path))
    return FoldScores(run, rows, _patients(run))


def patient_spreads(folds: Sequence[FoldScores]) -> list[Spread]:
    """Return mean and spread of the Dice over all patients, a row a class, the mean last.

    A patient's score of a class is the mean over his cases, those left out in which the class is
    rightly absent. The last row's mean is that of the classes' means; its deviation and ends are
    those of the patients' own means over their classes.

    Raises:
        InvalidValueError: Fewer than two different runs.
    """
    if len({fold.run.id for fold in folds}) < 2:
        raise InvalidValueError("a spread needs at least two different runs", hint="name more runs")
    scores: dict[str, dict[str, list[float]]] = {}
    for fold in folds:
        for row in fold.rows:
            of_class = scores.setdefault(row.name, {})
            if row.state != "absent":
                of_class.setdefault(fold.patient(row.case), []).append(row.dice)
    means = {
        name: {patient: statistics.fmean(values) for patient, values in by_patient.items()}
        for name, by_patient in scores.items()
        if by_patient
    }
    if not means:
        return []
    spreads = [_spread(name, list(values.values())) for name, values in means.items()]
    own: dict[str, list[float]] = {}
    for values in means.values():
        for patient, value in values.items():
            own.setdefault(patient, []).append(value)
    last = _spread(MEAN, [statistics.fmean(values) for values in own.values()])
    mean = statistics.fmean(row.mean for row in spreads)
    return [*spreads, Spread(MEAN, mean, last.deviation, last.lowest, last.highest, last.count)]


def repeated_folds(runs: Sequence[RunRecord]) -> list[str]:
    """Return the folds that more than one of `runs` was tested on."""
    folds = [run.params["fold"] for run in runs if run.params.get("fold", "null") != "null"]
    return sorted({fold for fold in folds if folds.count(fold) > 1})


def _patients(run: RunRecord) -> dict[str, str] | None:
    """The patient of each case, if the run's manifest can be read and is still the same."""
    digest = run.tags.get("manifest_hash", "")
    folder = run.params.get("dataset_dir", "null")
    said = (
        _plain(run.params.get("manifest", "")),
        None if folder == "null" else _plain(folder),
    )
    for place in (known_manifest(digest), said):
        with suppress(PipelineError):
            manifest = None if place is None else load_manifest(*place)
            if manifest is not None and manifest.hash == digest:
                return {case.id: case.patient for case in manifest.cases}
    return None


def _plain(text: str) -> str:
    """A setting as it was given, whether it was stored with or without quotes."""
    return str(json.loads(text)) if text.startswith('"') else text


def _spread(label: str, values: Sequence[float]) -> Spread:
    """Mean, deviation, ends and number; one value has no deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return Spread(label, statistics.fmean(values), deviation, min(values), max(values), len(values))
