"""A cohort on the machines of a Ray cluster, which all see the same folders."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from pipeline.errors import PipelineError, ResourceError
from pipeline.predict.cohort import Line, predict_tasks
from pipeline.predict.recipe import Predictor, Recipe, Task, failed_line

TRIES: Final = 2  # again, of a case whose machine or process died
SILENT: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
_predictors: dict[str, Predictor] = {}


def predict_on_ray(
    recipe: Recipe, tasks: Sequence[Task], threads: int
) -> Iterator[tuple[Task, Line]]:
    """Yield each task with its ledger line as the cluster finishes it.

    The cluster is the one that `RAY_ADDRESS` or `ray start` tells of, else one on this machine.
    A case whose process or machine dies is tried again elsewhere, then counts as failed.

    Args:
        recipe: The limit of memory is each case's own.
        tasks: The cases, their paths absolute.
        threads: Cores that a case takes; with them a GPU, where the cluster has any and the
            device is not the CPU.

    Raises:
        ResourceError: Ray is not installed, or can't be reached.
        PipelineError: The bundles can't be opened there.
    """
    os.environ.update(SILENT)  # before the import: nothing is told to anyone
    try:
        import ray
    except ImportError as error:
        raise ResourceError(
            "ray is not installed", hint="pip install 'unetworks[ray]', or leave --cluster out"
        ) from error
    ours = not ray.is_initialized()
    if ours:
        _join(ray)
    try:
        gpus = _gpus(ray, recipe)
        if gpus:  # the only one that a task sees, whichever it is
            recipe = replace(recipe, device="cuda")
        asked = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=TRIES)
        remote: Any = asked(_on_worker)
        waiting = {remote.remote(recipe, _anywhere(task), threads): task for task in tasks}
        while waiting:
            (ready,), _ = ray.wait(list(waiting))
            task = waiting.pop(ready)
            yield task, _line_of(ray, ready, task)
    finally:
        if ours:
            ray.shutdown()


def _join(ray: Any) -> None:
    """Connect to the cluster, or start one here."""
    try:
        ray.init(
            address=os.environ.get("RAY_ADDRESS"),
            logging_level="error",
            log_to_driver=False,
            include_dashboard=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ResourceError(
            f"Ray can't be reached: {error}", hint="start it, or unset RAY_ADDRESS"
        ) from error


def _gpus(ray: Any, recipe: Recipe) -> int:
    """GPUs that a case asks for: Ray hides them all from one that asks for none."""
    return int(recipe.device != "cpu" and ray.cluster_resources().get("GPU", 0) >= 1)


def _line_of(ray: Any, ready: Any, task: Task) -> Line:
    """The line of a finished task; a failed one's where its process died every time."""
    try:
        kind, value = ray.get(ready)
    except ray.exceptions.RayTaskError:
        raise  # a bug of ours, with its traceback
    except ray.exceptions.RayError as error:
        fact = ResourceError(
            f"{task.case.id}: its process died on the cluster ({type(error).__name__})",
            hint="see Ray's logs; memory may have run out",
        )
        return failed_line(task, fact, began=time.perf_counter())
    if kind == "refused":
        raise value
    line: Line = value
    return line


def _anywhere(task: Task) -> Task:
    """The task with paths that hold in any folder."""
    images = tuple(path.absolute() for path in task.case.images)
    return replace(task, case=replace(task.case, images=images), mask=task.mask.absolute())


def _opened(recipe: Recipe) -> Predictor:
    """The bundles, opened once in each process of the cluster."""
    key = repr(recipe)
    if key not in _predictors:
        _predictors[key] = recipe.open()
    return _predictors[key]


def _on_worker(recipe: Recipe, task: Task, threads: int) -> tuple[str, Any]:
    """Predict one case in a process of the cluster."""
    import torch

    torch.set_num_threads(threads)
    try:
        (answer,) = predict_tasks(_opened(recipe), [task])
    except PipelineError as error:
        return "refused", error
    return "line", answer[1]
