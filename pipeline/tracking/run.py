"""One run of one process: begun, written to in batches, and ended as what it was.

MLflow's own fluent interface adopts runs that an earlier process left open, and leaves open
those that were interrupted. Here a run always belongs to the process that made it, and ends
in every way a process can end; what a SIGKILL leaves is mended by the next run.
"""

import atexit
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, cast

from pipeline.settings import without_password
from pipeline.tracking import names, process, store
from pipeline.tracking.provenance import provenance

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

Status = Literal["FINISHED", "FAILED", "KILLED"]
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
ENDED_BY = "ended_by"
RESUMED_FROM = "resumed_from"


class TrackedRun:
    """A run at `tracking_uri`; nothing is opened or written before `start`.

    Before `start` (and so on every rank but the first) all else does nothing. After it an
    error of the server is one warning and ends the recording, never the training.

    Args:
        tracking_uri: As in `store.resolve_uri`.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.tracking_uri = tracking_uri
        self.uri: str | None = None
        self.run_id: str | None = None
        self.status: str | None = None
        self._client: MlflowClient | None = None
        self._buffer: list[tuple[str, SupportsFloat, int, int]] = []
        self._recording = False
        self._owner = os.getpid()

    def start(
        self,
        experiment: str,
        run_name: str,
        params: Mapping[str, object],
        tags: Mapping[str, str] | None = None,
        *,
        resumed_from: str | None = None,
    ) -> None:
        """Create the run with its settings, and end what dead processes left open.

        Args:
            experiment: Its name; created if new.
            run_name: Its name.
            params: Settings, nested, kept without folders; a value too long for MLflow stands whole
                in `params.json`.
            tags: Further tags.
            resumed_from: Id or name of the run that this one goes on with.

        Raises:
            InvalidValueError: for an address that can't be one, or a deleted experiment.
            ResourceError: if the database can't be opened or the server does not answer.
        """
        if self.status is not None:
            raise RuntimeError("a tracked run is started once")
        self.uri = store.resolve_uri(self.tracking_uri)
        client = store.open_client(self.uri)
        experiment_id = store.experiment_id(client, self.uri, experiment)
        all_tags = {**provenance(), **process.identity(), **(tags or {})}
        if resumed_from is not None:
            all_tags[RESUMED_FROM] = resumed_from
        with store.failing_as(self.uri), store.quiet():
            sweep(client, experiment_id)
            short = {
                names.clean_name(name): names.shortened(str(tag), names.TAG_LENGTH)
                for name, tag in all_tags.items()
            }
            run = client.create_run(experiment_id, tags=short, run_name=run_name)
        self.run_id, self.status, self._client = str(run.info.run_id), "RUNNING", client
        self._recording, self._owner = True, os.getpid()
        atexit.register(self._at_exit)
        self._log_params(cast("Mapping[str, object]", names.without_folders(params)))

    def log_step(self, step: int, values: Mapping[str, SupportsFloat]) -> None:
        """Keep numbers of one step until `flush`; a number may be a tensor of one value."""
        if self._recording:
            now = time.time_ns() // 1_000_000
            self._buffer += [(names.clean_name(name), v, now, step) for name, v in values.items()]

    def log_scores(
        self, step: int, scores: Mapping[str, object], labels: tuple[str, ...] = ()
    ) -> None:
        """Write scores at once; vectors (K,) get one name a class, as in `flat_scores`."""
        self.log_step(step, names.flat_scores(scores, labels))
        self.flush()

    def flush(self) -> None:
        """Write what `log_step` has kept; NaN stays NaN, an infinity MLflow's largest number."""
        if not (self._recording and self._buffer):
            return
        from mlflow.entities import Metric

        metrics = [Metric(name, float(v), ms, step) for name, v, ms, step in self._buffer]
        if self._attempt(lambda client, run_id: _log_metrics(client, run_id, metrics)):
            self._buffer.clear()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""

        def write(client: "MlflowClient", run_id: str) -> None:
            for name, tag in tags.items():
                text = names.shortened(str(tag), names.TAG_LENGTH)
                client.set_tag(run_id, names.clean_name(name), text)

        self._attempt(write)

    def log_text(self, text: str, file: str) -> None:
        """Write `text` as the artifact `file`, a relative path."""
        self._attempt(lambda client, run_id: client.log_text(run_id, text, file))

    def log_dict(self, content: Mapping[str, object], file: str) -> None:
        """Write `content` as the JSON artifact `file`, a relative path."""
        self.log_text(json.dumps(content, indent=2, default=str), file)

    def log_settings(self, folder: Path, name: str) -> None:
        """Copy the JSON files of a folder into `name`, without folders and addresses."""
        for file in sorted(folder.glob("*.json")):
            content = names.without_folders(json.loads(file.read_text(encoding="utf-8")))
            self.log_text(json.dumps(content, indent=2), f"{name}/{file.name}")

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Copy one file to the artifacts, into `folder` there."""
        self._attempt(lambda client, run_id: client.log_artifact(run_id, str(path), folder))

    def log_artifacts(self, path: str | Path, folder: str | None = None) -> None:
        """Copy one file, or the files of one folder (not of those below it)."""
        given = Path(path)
        files = sorted(f for f in given.iterdir() if f.is_file()) if given.is_dir() else [given]
        for file in files:
            self.log_artifact(file, folder)

    def finish(self, status: Status, reason: str = "end") -> None:
        """Write what is kept and end the run; later calls change nothing.

        Args:
            status: How it ended.
            reason: A word for the tag `ended_by`, such as the class of an exception. No text of
                an exception: it may hold a path or a name.
        """
        if self.status != "RUNNING" or self.run_id is None or self._client is None:
            return
        self.flush()
        # tried even where recording has stopped: a server may be back
        if not self._recording:
            reason = f"{reason}, recorded in part"
        client, run_id = self._client, self.run_id
        try:
            with store.quiet():
                client.set_tag(run_id, ENDED_BY, reason)
                client.set_terminated(run_id, status)
        except Exception as error:  # as in _attempt
            self._warn(error, "the run's end is not recorded")
        # not before: an interrupt in the lines above leaves the end to the exit of the process
        self.status = status
        atexit.unregister(self._at_exit)

    def _log_params(self, params: Mapping[str, object]) -> None:
        """Write the settings, and all of them as a file where one had to be cut."""
        from mlflow.entities import Param

        flat = names.flat_params(params)
        rows = [Param(k, names.shortened(v, names.PARAM_LENGTH)) for k, v in flat.items()]

        def write(client: "MlflowClient", run_id: str) -> None:
            for begin in range(0, len(rows), PARAMS_PER_BATCH):
                client.log_batch(
                    run_id, params=rows[begin : begin + PARAMS_PER_BATCH], synchronous=True
                )

        self._attempt(write)
        if any(row.value != flat[row.key] for row in rows):
            self.log_dict(params, "params.json")

    def _attempt(self, write: "Callable[[MlflowClient, str], Any]") -> bool:
        """Do one thing with the server; on an error warn, record no more and return False."""
        if not self._recording or self._client is None or self.run_id is None:
            return False
        try:
            with store.quiet():
                write(self._client, self.run_id)
        except Exception as error:  # clients of servers and databases share no base class
            self._recording = False
            self._warn(error, "the training goes on, its tracking stops here")
            return False
        return True

    def _warn(self, error: Exception, outcome: str) -> None:
        """Print one line."""
        where = without_password(self.uri or "")
        kind = type(error).__name__
        print(f"warning: tracking at {where} failed ({kind}): {outcome}", file=sys.stderr)

    def _at_exit(self) -> None:
        """End a run that nobody ended; a forked child does not own it."""
        if os.getpid() == self._owner:
            self.finish("KILLED", "exit without an end")


@contextmanager
def tracked(run: TrackedRun) -> Iterator[TrackedRun]:
    """End `run` as what the block was, in the sense of `end_of`; every exception goes on."""
    try:
        yield run
    except BaseException as error:
        run.finish(*end_of(error))
        raise
    run.finish("FINISHED")


def end_of(error: BaseException) -> tuple[Status, str]:
    """Return what an exception makes of a run, and a word on it.

    FAILED for an `Exception`; KILLED for what is none (Ctrl-C, a signal turned into a
    `BaseException`). A `SystemExit` is judged by its code: none or 0 FINISHED, that of a signal
    (128 or more) KILLED, else FAILED.
    """
    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            return "FAILED", "exit"
        code = error.code or 0
        status: Status = "KILLED" if code >= 128 else "FAILED" if code else "FINISHED"
        return status, f"exit {code}"
    return ("FAILED" if isinstance(error, Exception) else "KILLED"), type(error).__name__


def sweep(client: "MlflowClient", experiment_id: str) -> list[str]:
    """Mark RUNNING runs of this host whose process is gone KILLED, and return their ids.

    A run of another host, or of a container whose processes can't be seen from here, is left,
    and so is one that the server does not let this user change.
    """
    from mlflow.exceptions import MlflowException

    host = process.identity()[process.HOST]
    query = f"attributes.status = 'RUNNING' and tags.{process.HOST} = '{host}'"
    swept = []
    for run in client.search_runs([experiment_id], query):
        if not process.is_gone(run.data.tags):
            continue
        try:
            client.set_tag(run.info.run_id, ENDED_BY, "its process had gone")
            client.set_terminated(run.info.run_id, "KILLED")
        except MlflowException:
            continue  # another user's, on a server with permissions: no reason not to train
        swept.append(str(run.info.run_id))
    return swept


def _log_metrics(client: "MlflowClient", run_id: str, metrics: "list[Metric]") -> None:
    """Write metrics in batches of what MLflow takes at once."""
    for begin in range(0, len(metrics), METRICS_PER_BATCH):
        part = metrics[begin : begin + METRICS_PER_BATCH]
        client.log_batch(run_id, metrics=part, synchronous=True)
