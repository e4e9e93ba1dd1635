"""Several processes for a cohort; one that dies takes no other case along."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from pipeline.errors import PipelineError, ResourceError
from pipeline.predict.cohort import Line, predict_tasks
from pipeline.predict.recipe import Recipe, Task, Tell, failed_line

TRIES: Final = 2  # of a case whose process died; the second time nothing is read beside it
ENDED_S: Final = 5.0  # to end after SIGTERM


@dataclass(slots=True, eq=False)
class Worker:
    """A process and what it was given.

    Attributes:
        process: Runs `serve`.
        pipe: To it.
        number: From 0; the one that replaces it has the same.
        given: Tasks without a line yet, by their ids, in their order.
        began: When each of them came into the network.
        alone: Whether its only task is tried again.
    """

    process: BaseProcess
    pipe: Connection
    number: int = 0
    given: dict[str, Task] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    alone: bool = False

    @property
    def hungry(self) -> bool:
        """Whether a next task may be sent, which it reads while one is in the network."""
        waiting = [name for name in self.given if name not in self.began]
        return not waiting and not (self.alone and self.given)

    def send(self, task: Task, *, alone: bool = False) -> None:
        """Hand over a task."""
        self.given[task.case.id], self.alone = task, alone
        try:
            self.pipe.send(task)
        except OSError:  # it has died, which its pipe will tell
            return


def predict_with_jobs(
    recipe: Recipe, tasks: Sequence[Task], jobs: int, threads: int, tell: Tell | None = None
) -> Iterator[tuple[Task, Line]]:
    """Yield each task with its ledger line, predicted by `jobs` processes.

    A process that is killed, as by the kernel when memory runs out, is replaced. The case that
    it had in the network is tried once more by itself, then counts as failed; the others go on.

    Args:
        recipe: The limit of memory is each process's own.
        tasks: The cases, their ids unique.
        jobs: Processes at once.
        threads: For each.
        tell: Is handed lines on engines and memory as they come.

    Raises:
        RuntimeError: A bug of ours in a process, with its traceback.
        PipelineError: A process can't open the bundles.
    """
    supervisor = Supervisor(recipe, tasks, min(jobs, len(tasks)), threads, tell)
    try:
        yield from supervisor.lines()
    finally:
        supervisor.end()


class Supervisor:
    """Hands tasks to processes and looks after them; arguments as `predict_with_jobs`."""

    def __init__(
        self,
        recipe: Recipe,
        tasks: Sequence[Task],
        jobs: int,
        threads: int,
        tell: Tell | None = None,
    ) -> None:
        self._recipe, self._threads, self._tell = recipe, threads, tell
        self._left = deque(tasks)
        self._again: deque[Task] = deque()
        self._deaths: dict[str, int] = {}
        self._workers = [self._start(number) for number in range(jobs)]

    def lines(self) -> Iterator[tuple[Task, Line]]:
        """Yield lines as they come."""
        self._feed()
        while any(worker.given for worker in self._workers):
            ready = wait([worker.pipe for worker in self._workers])
            for worker in [worker for worker in self._workers if worker.pipe in ready]:
                try:
                    kind, name, value = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from self._died(worker)
                else:
                    yield from self._told(worker, kind, name, value)
            self._feed()

    def end(self) -> None:
        """End all processes: what they were writing is whole or not there."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(ENDED_S)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            for task in worker.given.values():
                task.files.remove_drafts()
        self._workers.clear()

    def _start(self, number: int) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (on_own_gpu(self._recipe, number), self._threads, theirs)
        process = context.Process(target=serve, args=arguments, daemon=True)
        process.start()
        theirs.close()  # or the end of the process would not show
        return Worker(process, ours, number)

    def _feed(self) -> None:
        """Give each process a next case; one that is tried again waits for an idle process."""
        for worker in self._workers:
            if self._left and worker.hungry:
                worker.send(self._left.popleft())
            elif self._again and not worker.given:
                worker.send(self._again.popleft(), alone=True)

    def _told(
        self, worker: Worker, kind: str, name: str, value: Any
    ) -> Iterator[tuple[Task, Line]]:
        if kind == "bug":
            raise RuntimeError(f"a process of the cohort failed:\n{value}")
        if kind == "refused":
            raise value
        if kind == "told":
            if self._tell is not None:
                self._tell(value)
        elif kind == "began":
            worker.began[name] = time.perf_counter()
        else:
            worker.began.pop(name)
            yield worker.given.pop(name), value

    def _died(self, worker: Worker) -> Iterator[tuple[Task, Line]]:
        """Replace a process, and blame the case that came into the network last."""
        worker.process.join()
        self._workers.remove(worker)
        blamed = (list(worker.began) or list(worker.given) or [""])[-1 if worker.began else 0]
        for name, task in worker.given.items():
            task.files.remove_drafts()
            if name != blamed:
                self._left.append(task)
        if blamed in worker.given:
            task = worker.given[blamed]
            self._deaths[blamed] = self._deaths.get(blamed, 0) + 1
            if self._deaths[blamed] < TRIES:
                self._again.append(task)
            else:
                began = worker.began.get(blamed, time.perf_counter())
                yield task, failed_line(task, _end_of(worker.process.exitcode, task), began)
        if self._left or self._again:
            self._workers.append(self._start(worker.number))


def on_own_gpu(recipe: Recipe, number: int) -> Recipe:
    """The recipe for one of several processes: GPUs go round, unless one of them is named."""
    import torch

    if recipe.device not in (None, "cuda") or not torch.cuda.is_available():
        return recipe
    return replace(recipe, device=f"cuda:{number % torch.cuda.device_count()}")


def _end_of(code: int | None, task: Task) -> PipelineError:
    """Why a process ended."""
    fact = f"its process ended with {code}"
    if code == -signal.SIGKILL:
        fact = "its process was killed, as happens when memory runs out"
    hint = "set --max-ram, or fewer --jobs, and run it again"
    return ResourceError(f"{task.case.id}: {fact}", hint=hint)


def serve(recipe: Recipe, threads: int, pipe: Connection) -> None:
    """Predict what comes through a pipe, until this process is ended."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's to handle
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        with recipe.open(lambda line: pipe.send(("told", "", line))) as predictor:
            tasks = iter(pipe.recv, None)
            for task, line in predict_tasks(
                predictor, tasks, lambda task: pipe.send(("began", task.case.id, None))
            ):
                pipe.send(("line", task.case.id, line))
    except PipelineError as error:
        pipe.send(("refused", "", error))
    except Exception:
        pipe.send(("bug", "", traceback.format_exc()))


def _leave_with_parent() -> None:
    """End this process when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
