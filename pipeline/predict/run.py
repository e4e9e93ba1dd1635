"""Prediction of one case or of many: `unetworks predict` as a function."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.errors import (
    DataError,
    InvalidValueError,
    PipelineError,
    ResourceError,
    UnknownNameError,
)
from pipeline.io import Reading
from pipeline.predict.cohort import Line, predict_tasks
from pipeline.predict.inputs import find_cases
from pipeline.predict.ledger import append_ledger, is_done, read_ledger
from pipeline.predict.options import SegmentOptions
from pipeline.predict.outputs import mask_paths
from pipeline.predict.recipe import Predictor, Recipe, Task
from pipeline.predict.resident import resident_bytes
from pipeline.progress import progress

CLUSTERS: Final = ("ray",)


@dataclass(frozen=True)
class Options:
    """How to predict.

    Attributes:
        device: `cpu`, `cuda`, ...; None: a GPU where there is one.
        how: Of each case; its memory limit is that of the whole call.
        reading: How files are read.
        cases: Of a manifest: `train`, `val`, `test` or `all`.
        dataset_dir: Of a manifest.
        fold: Of a manifest.
        postprocess: A JSON file, or its content; None: what the model's plan says.
        jobs: Processes for a cohort, one of which may be killed without harm to the others; 0:
            this process.
        cluster: `ray`: on its machines; None: on this one.
        again: Predict what is done, too.
        tell: Is handed lines on engines and memory as they come.
        quiet: No progress bar.
    """

    device: str | None = None
    how: SegmentOptions = field(default_factory=SegmentOptions)
    reading: Reading | None = None
    cases: str = "test"
    dataset_dir: str | None = None
    fold: int | None = None
    postprocess: str | Path | Mapping[str, Any] | None = None
    jobs: int = 0
    cluster: str | None = None
    again: bool = False
    tell: Callable[[str], None] | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        """Refuse what no call could do."""
        if self.jobs < 0:
            raise InvalidValueError(f"{self.jobs} jobs", hint="give 0 or more")
        if self.cluster is not None and self.cluster not in CLUSTERS:
            raise UnknownNameError(f"cluster is {self.cluster!r}", hint=f"use {CLUSTERS[0]}")


@dataclass
class Outcome:
    """What a prediction of many cases came to.

    Attributes:
        masks: Of the cases that worked, now or before, in the cases' order.
        failed: Case and reason of the others.
        kept: How many were done before.
        warnings: Case and what was unusual.
    """

    masks: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    kept: int = 0
    warnings: list[tuple[str, str]] = field(default_factory=list)


def predict(
    bundles: str | Path | Sequence[str | Path],
    input: str | Path,  # noqa: A002 - the word of the command
    output: str | Path,
    options: Options | None = None,
) -> Outcome:
    """Write a mask for each case of `input`, on the case's own grid.

    In a folder `ledger.jsonl` gets a line for each case; the same call again predicts only what
    is not done: no line says so, the weights, options or files were others, or a mask is gone. A
    case that can't be predicted is recorded and the rest go on; a single case raises instead.

    Args:
        bundles: Run folders; several are an ensemble: the mean of their probabilities.
        input: A NIfTI, DICOM or picture file, a DICOM folder, a folder of cases, a manifest.
        output: A mask's file for one case, else a folder.
        options: How.

    Raises:
        PipelineError: A bundle or INPUT that can't be used, files of another origin where the
            masks would go, or the only case.
    """
    chosen = options or Options()
    given = [bundles] if isinstance(bundles, str | Path) else list(bundles)
    recipe = Recipe(
        tuple(str(Path(bundle).absolute()) for bundle in given),
        chosen.device,
        chosen.how,
        _postprocess(chosen.postprocess),
    )
    with recipe.open(chosen.tell) as predictor:
        tasks = _tasks(input, output, chosen, predictor)
        wanted = {task.case.id: predictor.wanted(task) for task in tasks}
        folder = None if Path(output) == tasks[0].mask else Path(output)
        lines = {} if folder is None else read_ledger(folder)
        missing = [
            task
            for task in tasks
            if chosen.again
            or not is_done(lines.get(task.case.id), wanted[task.case.id], predictor.outputs(task))
        ]
        if missing:
            _refuse_unwritable(folder or tasks[0].mask.parent)
        for task in missing:
            before = lines.get(task.case.id, {}).get("state")
            task.files.refuse_others(known=before == "done")
        outcome = Outcome(kept=len(tasks) - len(missing))
        failed: dict[str, PipelineError] = {}
        found = _predicted(predictor, missing, len(tasks), chosen)
        for task, line in progress(found, "predicting", total=len(missing), quiet=chosen.quiet):
            raised = line.pop("raised", None)
            outcome.warnings += [(task.case.id, text) for text in line.pop("warnings", ())]
            if folder is not None:
                append_ledger(folder, {**line, **wanted[task.case.id]})
            if raised is not None:
                failed[task.case.id] = raised
    if len(tasks) == 1 and failed:
        raise failed[tasks[0].case.id]
    outcome.masks = [task.mask for task in tasks if task.case.id not in failed]
    outcome.failed = [
        (task.case.id, failed[task.case.id].line()) for task in tasks if task.case.id in failed
    ]
    return outcome


def _refuse_unwritable(folder: Path) -> None:
    """Refuse an OUTPUT that can't be made, before hours of work for it."""
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise DataError(f"{there} is no folder", hint="choose another OUTPUT")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"{there} cannot be written", hint="choose another OUTPUT")


def _postprocess(given: str | Path | Mapping[str, Any] | None) -> str | Mapping[str, Any] | None:
    return str(Path(given).absolute()) if isinstance(given, str | Path) else given


def _tasks(
    given: str | Path, output: str | Path, options: Options, predictor: Predictor
) -> list[Task]:
    """The cases of INPUT and where their masks go."""
    cases = find_cases(
        given,
        cases=options.cases,
        dataset_dir=options.dataset_dir,
        fold=options.fold,
        reading=options.reading,
    )
    paths = mask_paths(output, cases, pictures=predictor.pictures)
    return [Task(case, path, str(given)) for case, path in zip(cases, paths, strict=True)]


def _predicted(
    predictor: Predictor, missing: Sequence[Task], cases: int, options: Options
) -> Iterator[tuple[Task, Line]]:
    """Predict what is missing where it was asked for."""
    recipe = predictor.recipe
    threads = torch.get_num_threads()
    if not missing:
        return
    if options.cluster is not None:
        from pipeline.predict.cluster import predict_on_ray

        yield from predict_on_ray(recipe, missing, max(1, threads // max(1, options.jobs)))
    elif options.jobs and cases > 1:
        from pipeline.predict.jobs import predict_with_jobs

        jobs = min(options.jobs, len(missing))
        shared = _shared(recipe, jobs)
        tell = options.tell
        yield from predict_with_jobs(shared, missing, jobs, max(1, threads // jobs), tell)
    else:
        yield from predict_tasks(predictor, missing)


def _shared(recipe: Recipe, jobs: int) -> Recipe:
    """The recipe with each process's share of the memory limit, this process's own left out."""
    limit = recipe.how.max_ram_gib
    if limit is None:
        return recipe
    share = (limit - resident_bytes() / 2**30) / jobs
    if share <= 0:
        raise ResourceError(
            f"{limit} GiB are less than this process takes by itself", hint="give more --max-ram"
        )
    return replace(recipe, how=replace(recipe.how, max_ram_gib=share))
