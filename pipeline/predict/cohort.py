"""Cases one after the other in this process, files read and written beside the network."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Final

from monai.data import MetaTensor

from pipeline.errors import PipelineError, ResourceError
from pipeline.predict.recipe import Predictor, Task, done_line, failed_line
from pipeline.predict.room import values_bytes
from pipeline.predict.segment import Segmented, read_case

Line = dict[str, Any]
Began = Callable[[Task], None]
AHEAD: Final = 0.1
"""Share of the memory limit that a case which waits may take; a larger one is read in its turn."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A case that waits for the network.

    Attributes:
        task: The case.
        image: What was read of it; None: nothing yet.
        seconds: That reading took.
    """

    task: Task
    image: MetaTensor | None = None
    seconds: float = 0.0


class Reader:
    """Reads the next case while the last one is in the network.

    Args:
        tasks: May block.
        limit: Bytes that a case which waits may take; None: no limit.
    """

    def __init__(self, tasks: Iterable[Task], limit: float | None) -> None:
        self._tasks, self._limit = iter(tasks), limit
        self._threads = ThreadPoolExecutor(1, "reader")
        self._next: Future[Waiting | None] | None = None
        self._reading = self._held_back = False

    @property
    def idle(self) -> bool:
        """Whether no next case is there yet."""
        return self._next is not None and not self._next.done()

    def __iter__(self) -> Iterator[Waiting]:
        """Yield the cases; the one after is read meanwhile."""
        self._next = self._threads.submit(self._pull)
        try:
            while (waiting := self._next.result()) is not None:
                self._held_back = False
                self._next = self._threads.submit(self._pull)
                yield waiting
        finally:  # after an error the next task may never come
            self._threads.shutdown(wait=False, cancel_futures=True)

    def held_bytes(self) -> float:
        """Bytes that the next case may take once it is read; one that is read is there already."""
        return (self._limit or 0) if self.idle else 0

    @property
    def holds(self) -> bool:
        """Whether values of the next case are there, or on their way."""
        if self.idle:
            return True
        waiting = None if self._next is None else self._next.result()
        return waiting is not None and waiting.image is not None

    def drop(self) -> None:
        """Forget what was read of the next case: it will be read again in its turn."""
        self._held_back = True
        if self._next is not None and (self._reading or not self.idle):
            waiting = self._next.result()
            if waiting is not None:
                waiting.image = None

    def _pull(self) -> Waiting | None:
        task = next(self._tasks, None)
        if task is None:
            return None
        self._reading = True  # before the look at what `drop` sets: one of both sees the other
        began = time.perf_counter()
        try:
            if self._held_back or (
                self._limit is not None and values_bytes(task.case) > self._limit
            ):
                return Waiting(task)
            return Waiting(task, read_case(task.case), time.perf_counter() - began)
        except (PipelineError, MemoryError, RuntimeError):
            return Waiting(task)  # what is wrong is found and told in its turn
        finally:
            self._reading = False


def predict_tasks(
    predictor: Predictor, tasks: Iterable[Task], began: Began | None = None
) -> Iterator[tuple[Task, Line]]:
    """Yield each task with its ledger line, once its files are written.

    While a case is in the network the next one is read and the last one written. A case that
    fails gives a line too; anything but a refusal or a lack of memory is a bug, and is raised.

    Args:
        predictor: Opened.
        tasks: May block: they are taken one ahead.
        began: Called as a case comes into the network.
    """
    limit = predictor.recipe.how.max_ram_gib
    reader = Reader(tasks, None if limit is None else limit * 2**30 * AHEAD)
    writing: deque[tuple[Task, Future[Line]]] = deque()
    with ThreadPoolExecutor(1, "writer") as writer:
        try:
            for waiting in reader:
                if began is not None:
                    began(waiting.task)
                job = _started(predictor, waiting, reader, writer, [job for _, job in writing])
                writing.append((waiting.task, job))
                # at most one case is being written, and none while there is nothing else to do
                while len(writing) > (not reader.idle):
                    yield _finished(writing)
        except KeyboardInterrupt:  # what is being written is kept, and told
            while writing:
                yield _finished(writing)
            raise
        while writing:
            yield _finished(writing)


def _finished(writing: deque[tuple[Task, Future[Line]]]) -> tuple[Task, Line]:
    """Wait for the first case that is being written."""
    task, job = writing.popleft()
    return task, job.result()


def _started(
    predictor: Predictor,
    waiting: Waiting,
    reader: Reader,
    writer: ThreadPoolExecutor,
    written: Sequence[Future[Line]],
) -> Future[Line]:
    """Predict a case, and leave it to the writer; what failed is a line at once."""
    start = time.perf_counter()
    try:
        result = _segment(predictor, waiting, reader, written)
    except Exception as error:  # one case must not end the others
        failed: Future[Line] = Future()
        failed.set_result(failed_line(waiting.task, error, start))
        return failed
    return writer.submit(_write, predictor, waiting.task, result, start)


def _segment(
    predictor: Predictor, waiting: Waiting, reader: Reader, written: Sequence[Future[Line]]
) -> Segmented:
    """Predict a case within the limit; the cases before and after make room where they have to."""
    image, waiting.image = waiting.image, None
    if predictor.recipe.how.max_ram_gib is None:
        return predictor.segment(waiting.task, image, waiting.seconds)
    held = reader.held_bytes()
    try:
        return predictor.segment(waiting.task, image, waiting.seconds, held)
    except ResourceError:
        if not held and not reader.holds and all(job.done() for job in written):
            raise
    wait(written)
    reader.drop()
    return predictor.segment(waiting.task, image, waiting.seconds)


def _write(predictor: Predictor, task: Task, result: Segmented, start: float) -> Line:
    try:
        predictor.write(task, result)
    except Exception as error:
        return failed_line(task, error, start)
    return done_line(task, result, start)
