"""One case from its files to its mask and record: what every process of a cohort does."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from monai.data import MetaTensor

from pipeline.bundles.guard import refusal
from pipeline.bundles.settings import find_device
from pipeline.errors import DataError, InvalidValueError, PipelineError, ResourceError
from pipeline.predict.computing import Engines
from pipeline.predict.inputs import InputCase
from pipeline.predict.ledger import fingerprint, source_of
from pipeline.predict.model import Model, open_model
from pipeline.predict.options import SegmentOptions
from pipeline.predict.outputs import Files, case_record, write_json, write_mask, write_probabilities
from pipeline.predict.peak import forget_peak, peak_gib
from pipeline.predict.postprocess import Mending, mend, read_steps
from pipeline.predict.privacy import stored
from pipeline.predict.segment import Segmented, read_case, segment

_EXHAUSTED: Final = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Task:
    """A case to predict.

    Attributes:
        case: Its files.
        mask: Where its mask goes.
        given: INPUT, above which no folder's name is stored.
    """

    case: InputCase
    mask: Path
    given: str

    @property
    def files(self) -> Files:
        """What is written for it."""
        return Files(self.mask)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How cases are predicted; travels to other processes.

    Attributes:
        bundles: Run folders; several are an ensemble.
        device: `cpu`, `cuda`, ...; None: a GPU where there is one.
        how: Of each case.
        postprocess: A JSON file, or its content; None: what the first model's plan says.
    """

    bundles: tuple[str, ...]
    device: str | None = None
    how: SegmentOptions = field(default_factory=SegmentOptions)
    postprocess: str | Mapping[str, Any] | None = None

    def open(self, tell: Tell | None = None) -> "Predictor":
        """Open the bundles.

        Args:
            tell: Is handed lines on engines and memory as they come.

        Raises:
            PipelineError: A bundle can't be used, or an option does not fit it.
        """
        device = find_device(self.device)
        models = [open_model(bundle, device) for bundle in self.bundles]
        _refuse_other_labels(models)
        _refuse_other_names(self.how.probabilities, models[0])
        given = self.postprocess or models[0].plan.get("postprocess")
        return Predictor(self, models, read_steps(given, list(models[0].classes)), tell)


class Predictor(ExitStack):
    """Opened models that predict one case after the other; engines stay open until the end."""

    def __init__(
        self,
        recipe: Recipe,
        models: Sequence[Model],
        steps: Mapping[str, Mending],
        tell: Tell | None = None,
    ) -> None:
        super().__init__()
        self.recipe, self.models, self.steps = recipe, models, steps
        self.engines = Engines(tell)

    def __enter__(self) -> Self:
        """Close the engines at the end."""
        self.enter_context(self.engines)
        return self

    @property
    def pictures(self) -> bool:
        """Whether cases are pictures, not scans."""
        return bool(self.models[0].facts["dims"] == 2)

    def wanted(self, task: Task) -> dict[str, Any]:
        """What a line of the ledger has to hold for a case to count as done.

        The limit of memory is left out: it changes where sums are kept, not what they are.
        """
        how = self.recipe.how
        chosen = (
            how.overlap, how.mirror, how.level, how.probabilities, how.resample, how.body_box,
            how.engine, how.precision, how.agreement, how.force_modality,
            task.case.series, task.case.reading, sorted(self.steps.items()),
        )  # fmt: skip
        return {
            "sha256": [model.digest for model in self.models],
            "options": fingerprint(chosen),
            "source": source_of(task.case),
        }

    def segment(
        self, task: Task, image: MetaTensor | None, seconds: float = 0.0, held: float = 0
    ) -> Segmented:
        """Predict a case.

        Args:
            task: The case.
            image: What `read_case` made of its files; None: they are read now.
            seconds: That reading took, if it was done before.
            held: Bytes of the limit that are for the next case.

        Raises:
            PipelineError: It can't be predicted.
        """
        forget_peak()
        began = time.perf_counter()
        if image is None:
            image = read_case(task.case)
            seconds = time.perf_counter() - began
        how = self.recipe.how
        if how.max_ram_gib is not None and held:
            how = replace(how, max_ram_gib=how.max_ram_gib - held / 2**30)
        result = segment(task.case, self.models, how, image=image, engines=self.engines)
        result.seconds["read"] = round(result.seconds.get("read", 0.0) + seconds, 4)
        return result

    def write(self, task: Task, result: Segmented) -> None:
        """Mend and write mask, probabilities and record, each whole or not at all."""
        began = time.perf_counter()
        if self.steps:
            result.mask = mend(result.mask, self.models[0].classes, self.steps, result.affine)
            result.seconds["postprocess"] = round(time.perf_counter() - began, 4)
            began = time.perf_counter()
        task.files.remove_drafts()
        with task.files.claimed(self._record(task, result)):
            write_probabilities(task.files.probabilities, result)
            write_mask(task.mask, result, self.models[0])
        result.seconds["write"] = round(time.perf_counter() - began, 4)
        write_json(task.files.record, self._record(task, result))

    def _record(self, task: Task, result: Segmented) -> dict[str, Any]:
        return case_record(task.case, task.mask, result, self.models, peak_gib(), self.steps)

    def outputs(self, task: Task) -> list[Path]:
        """The files that a finished case has."""
        shares = self.recipe.how.probabilities is not None
        return [task.mask, task.files.record, *([task.files.probabilities] if shares else [])]


def done_line(task: Task, result: Segmented, began: float) -> dict[str, Any]:
    """The ledger's line of a case that worked."""
    names = dict.fromkeys(f"{name} {precision}" for name, precision in result.engines)
    return {**_line(task, "done", began), "engine": ", ".join(names)}


def failed_line(task: Task, error: BaseException, began: float) -> dict[str, Any]:
    """The ledger's line of a case that failed; `raised` is for the caller, and is not kept.

    Raises:
        BaseException: It is a bug of ours.
    """
    found = found_refusal(task, error)
    line = {**_line(task, "failed", began), "engine": ""}
    return {**line, "error": stored(found.line(), task.given, task.case), "raised": found}


def found_refusal(task: Task, error: BaseException) -> PipelineError:
    """What a case's failure is to a user.

    Raises:
        BaseException: It is a bug of ours.
    """
    if (found := refusal(error)) is not None:
        return found
    if is_exhausted(error):
        return ResourceError(
            f"{task.case.id}: out of memory", hint="give a limit with --max-ram, or more memory"
        )
    raise error


def is_exhausted(error: BaseException) -> bool:
    """Whether memory, a GPU's or the machine's, was too small."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _EXHAUSTED)


def _line(task: Task, state: str, began: float) -> dict[str, Any]:
    return {
        "case": task.case.id,
        "state": state,
        "seconds": round(time.perf_counter() - began, 3),
        "peak_memory_gib": round(peak_gib(), 3),
    }


def _refuse_other_names(names: Sequence[str] | None, model: Model) -> None:
    """Refuse classes whose probabilities can't be written, before any case is predicted."""
    if names is None:
        return
    if model.facts["dims"] == 2:
        raise InvalidValueError(
            "probabilities are written for scans only", hint="leave --probabilities out"
        )
    for name in names:
        if name not in model.classes:
            raise InvalidValueError(f"no class {name!r}", hint=f"use {', '.join(model.classes)}")


def _refuse_other_labels(models: Sequence[Model]) -> None:
    """Refuse an ensemble of models with different labels."""
    first = models[0]
    for other in models[1:]:
        if other.classes != first.classes or other.facts["head"] != first.facts["head"]:
            raise DataError(
                f"{first.name} and {other.name} have different labels: {list(first.classes)} and "
                f"{list(other.classes)}",
                hint="an ensemble needs the same labels",
            )
