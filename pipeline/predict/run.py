"""Prediction of one case or of many: `unetworks predict` as a function."""

import re
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipeline.bundles.guard import refusal
from pipeline.bundles.settings import find_device
from pipeline.errors import DataError, InvalidValueError, PipelineError
from pipeline.predict.inputs import InputCase, find_cases
from pipeline.predict.model import Model, open_model
from pipeline.predict.outputs import (
    append_ledger,
    case_record,
    mask_paths,
    write_json,
    write_mask,
    write_probabilities,
)
from pipeline.predict.segment import segment
from pipeline.progress import progress

UID: Final = re.compile(r"\b[0-2](?:\.\d+){3,}\b")


@dataclass(frozen=True)
class Options:
    """How to predict.

    Attributes:
        device: `cpu`, `cuda`, ...; None: a GPU where there is one.
        overlap: Of the windows, 0 to below 1; None: the plan's.
        probabilities: None: none are written; else the classes' names, empty for all.
        cases: Of a manifest: `train`, `val`, `test` or `all`.
        dataset_dir: Of a manifest.
        fold: Of a manifest.
        series: Of DICOM folders: number or UID.
        force_modality: Predict a scan of another modality than the training's.
        quiet: No progress bar.
    """

    device: str | None = None
    overlap: float | None = None
    probabilities: tuple[str, ...] | None = None
    cases: str = "test"
    dataset_dir: str | None = None
    fold: int | None = None
    series: str | int | None = None
    force_modality: bool = False
    quiet: bool = False


@dataclass
class Outcome:
    """What a prediction of many cases came to.

    Attributes:
        masks: Of the cases that worked, in their order.
        failed: Case and reason of the others.
    """

    masks: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def predict(
    bundles: str | Path | Sequence[str | Path],
    input: str | Path,  # noqa: A002 - the word of the command
    output: str | Path,
    options: Options | None = None,
) -> Outcome:
    """Write a mask for each case of `input`, on the case's own grid.

    A case that can't be read is recorded in `ledger.jsonl`, and the rest go on; a single case
    raises instead.

    Args:
        bundles: Run folders; several are an ensemble: the mean of their probabilities.
        input: A NIfTI, DICOM or picture file, a DICOM folder, a folder of cases, a manifest.
        output: A mask's file for one case, else a folder.
        options: How.

    Raises:
        PipelineError: A bundle or INPUT that can't be used, or the only case.
    """
    chosen = options or Options()
    if chosen.overlap is not None and not 0 <= chosen.overlap < 1:
        raise InvalidValueError(f"overlap is {chosen.overlap}", hint="give 0 to 0.9")
    given = [bundles] if isinstance(bundles, str | Path) else list(bundles)
    device = find_device(chosen.device)
    models = [open_model(bundle, device) for bundle in given]
    _alike(models)
    _check_probabilities(chosen.probabilities, models[0])
    cases = find_cases(
        input,
        cases=chosen.cases,
        dataset_dir=chosen.dataset_dir,
        fold=chosen.fold,
        series=chosen.series,
    )
    paths = mask_paths(output, cases, pictures=models[0].facts["dims"] == 2)
    single = Path(output) in paths
    outcome = Outcome()
    pairs = list(zip(cases, paths, strict=True))
    for case, path in progress(pairs, "predicting", quiet=chosen.quiet):
        began = time.perf_counter()
        folder = path.parent
        try:
            _one(case, path, models, chosen)
        except (PipelineError, MemoryError, RuntimeError) as error:
            found = refusal(error)
            if found is None and not isinstance(error, MemoryError):
                raise
            reason = found.line() if found else "out of memory; use a machine with more"
            if not single:
                error_line = stored(reason, input, case)
                append_ledger(folder, _line(case, "failed", began, models, error=error_line))
            if len(cases) == 1:
                raise (found or DataError(f"{case.id}: out of memory", hint=reason)) from error
            outcome.failed.append((case.id, reason))
            continue
        outcome.masks.append(path)
        if not single:
            append_ledger(folder, _line(case, "done", began, models))
    return outcome


def _one(case: InputCase, path: Path, models: Sequence[Model], options: Options) -> None:
    """Predict and write one case."""
    result = segment(
        case,
        models,
        overlap=options.overlap,
        probabilities=options.probabilities is not None,
        force_modality=options.force_modality,
    )
    began = time.perf_counter()
    if options.probabilities is not None:
        write_probabilities(path, result, models[0], options.probabilities)
    write_mask(path, result, models[0])
    result.seconds["write"] = round(time.perf_counter() - began, 4)
    stem = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".png")
    record = case_record(case, path, result, models, peak_gib())
    write_json(path.with_name(f"{stem}.json"), record)


def stored(reason: str, given: str | Path, case: InputCase) -> str:
    """A refusal as it may be kept on disk: no folder above INPUT, no UID."""
    known = (Path(given), *case.images)
    folders = {form.parent for p in known for form in (p, p.absolute(), p.resolve())}
    for folder in sorted(folders, key=lambda f: len(str(f)), reverse=True):
        if str(folder) not in (".", folder.anchor):
            reason = reason.replace(f"{folder}/", "")
    return UID.sub("[UID]", reason)


def peak_gib() -> float:
    """Largest resident memory of this process so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _line(
    case: InputCase, state: str, began: float, models: Sequence[Model], **more: str
) -> dict[str, object]:
    """A ledger line."""
    return {
        "case": case.id,
        "state": state,
        "seconds": round(time.perf_counter() - began, 3),
        "peak_memory_gib": round(peak_gib(), 3),
        "engine": "torch",
        "sha256": [m.digest for m in models],
        **more,
    }


def _check_probabilities(names: Sequence[str] | None, model: Model) -> None:
    """Refuse what `write_probabilities` could not write, before any case is predicted."""
    if names is None:
        return
    if model.facts["dims"] == 2:
        raise InvalidValueError(
            "probabilities are written for scans only", hint="leave --probabilities out"
        )
    for name in names:
        if name not in model.classes:
            raise InvalidValueError(f"no class {name!r}", hint=f"use {', '.join(model.classes)}")


def _alike(models: Sequence[Model]) -> None:
    """Refuse an ensemble of models with different labels."""
    first = models[0]
    for other in models[1:]:
        if other.classes != first.classes or other.facts["head"] != first.facts["head"]:
            raise DataError(
                f"{first.name} and {other.name} have different labels: {list(first.classes)} and "
                f"{list(other.classes)}",
                hint="an ensemble needs the same labels",
            )
