"""One case from its files to its mask and record: what every process of a cohort does."""

import errno
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from monai.data import MetaTensor

from pipeline.bundles.device import find_device
from pipeline.bundles.guard import refusal
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
from pipeline.predict.resident import release_free_memory
from pipeline.predict.room import refuse_reading
from pipeline.predict.segment import Segmented, read_case, segment

_EXHAUSTED: Final = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
MENDED: Final = "postprocess"  # its stage
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
        given = Path(self.postprocess) if isinstance(self.postprocess, str) else self.postprocess
        given = given or models[0].plan.get("postprocess")
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
            [json.dumps([dict(m.facts), dict(m.plan)], sort_keys=True) for m in self.models],
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
        how = replace(self.recipe.how, mended=bool(self.steps))
        if how.max_ram_gib is not None and held:
            how = replace(how, max_ram_gib=how.max_ram_gib - held / 2**30)
        if image is None:
            refuse_reading(task.case, how.max_ram_gib)
            image = read_case(task.case)
            seconds = time.perf_counter() - began
        result = segment(task.case, self.models, how, image=image, engines=self.engines)
        result.seconds["read"] = round(result.seconds.get("read", 0.0) + seconds, 4)
        if how.max_ram_gib is not None:  # beside the next case its memory would not be planned
            release_free_memory()
            self._mend(result)
        result.peak_gib = peak_gib()  # before the next case begins to count
        return result

    def write(self, task: Task, result: Segmented) -> None:
        """Mend and write mask, probabilities and record, each whole or not at all."""
        self._mend(result)
        began = time.perf_counter()
        task.files.remove_drafts()
        with task.files.claimed(self._record(task, result)):
            write_probabilities(task.files.probabilities, result)
            write_mask(task.mask, result, self.models[0])
        if result.probabilities is None:  # those of another call would not be this mask's
            task.files.probabilities.unlink(missing_ok=True)
        result.seconds["write"] = round(time.perf_counter() - began, 4)
        write_json(task.files.record, self._record(task, result) | task.files.mask_sha256())

    def _mend(self, result: Segmented) -> None:
        """Mend a mask that is not mended yet."""
        if self.steps and MENDED not in result.seconds:
            began = time.perf_counter()
            result.mask = mend(result.mask, self.models[0].classes, self.steps, result.affine)
            result.seconds[MENDED] = round(time.perf_counter() - began, 4)

    def _record(self, task: Task, result: Segmented) -> dict[str, Any]:
        record = case_record(task.case, task.mask, result, self.models, self.steps)
        if result.probabilities is not None:
            record["probabilities"] = list(self.recipe.how.probabilities or self.models[0].classes)
        return record

    def outputs(self, task: Task) -> list[Path]:
        """The files that a finished case has."""
        shares = self.recipe.how.probabilities is not None
        return [task.mask, task.files.record, *([task.files.probabilities] if shares else [])]


def done_line(task: Task, result: Segmented, began: float) -> dict[str, Any]:
    """The ledger's line of a case that worked; `warnings` are for the caller, and not kept."""
    names = dict.fromkeys(f"{name} {precision}" for name, precision in result.engines)
    line = _line(task, "done", began, result.peak_gib)
    return {**line, "engine": ", ".join(names), "warnings": result.warnings}


def failed_line(task: Task, error: BaseException, began: float) -> dict[str, Any]:
    """The ledger's line of a case that failed; `raised` is for the caller, and is not kept.

    Raises:
        BaseException: It is a bug of ours.
    """
    found = found_refusal(task, error)
    line = {**_line(task, "failed", began, peak_gib()), "engine": ""}
    reason = stored(found.line(), task.given, task.case, task.mask)
    return {**line, "error": reason, "raised": found}


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
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:  # MONAI's transforms wrap what they raise
        seen.add(id(cause))
        if isinstance(cause, MemoryError) or getattr(cause, "errno", None) == errno.ENOMEM:
            return True
        if isinstance(cause, RuntimeError) and any(word in str(cause) for word in _EXHAUSTED):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _line(task: Task, state: str, began: float, peak: float) -> dict[str, Any]:
    return {
        "case": task.case.id,
        "state": state,
        "seconds": round(time.perf_counter() - began, 3),
        "peak_memory_gib": round(peak, 3),
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
        same = list(other.classes.items()) == list(first.classes.items())  # channels' order, too
        if not same or other.facts["head"] != first.facts["head"]:
            raise DataError(
                f"{first.name} and {other.name} have different labels: {first.classes} and "
                f"{other.classes}",
                hint="an ensemble needs the same labels in the same order",
            )
