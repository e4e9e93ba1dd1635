"""Runs that were recorded: found by what a user calls them, and as plain values."""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.settings import without_password
from pipeline.tracking import process, store

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PAGE = 500
SHORT_ID = 8
MAKE_ONE = (
    "make one with: python -m monai.bundle run training --config_file bundles/attunet/train.json"
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One recorded run; `status` is KILLED for one left RUNNING by a process that is gone."""

    id: str
    name: str
    experiment: str
    status: str
    started: datetime
    minutes: float
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]

    def score(self, part: str) -> float | None:
        """Return the mean Dice of `part`, "val" or "test"; None if it has none."""
        return self.metrics.get(f"{part}/dice_mean")


class RunBook:
    """The runs at a tracking address; no database is made by reading.

    Args:
        tracking_uri: As in `store.resolve_uri`.
        experiment: Only this experiment; None: all.

    Raises:
        InvalidValueError: for an address that can't be one.
        ResourceError: if the database can't be opened or the server does not answer.
        UnknownNameError: if there are runs, but not this experiment.
    """

    def __init__(self, tracking_uri: str | None = None, experiment: str | None = None) -> None:
        self.uri = store.resolve_uri(tracking_uri)
        self.runs: list[RunRecord] = []
        self._client: MlflowClient | None = None
        file = store.database_file(self.uri)
        if file is not None and not file.exists():
            return
        self._client = store.open_client(self.uri)
        with store.failing_as(self.uri), store.quiet():
            found = {e.experiment_id: e.name for e in self._client.search_experiments()}
            wanted = [i for i, name in found.items() if experiment in (None, name)]
            runs = list(_pages(self._client, wanted)) if wanted else []
        if experiment is not None and not wanted:
            used = [name for name in found.values() if name != "Default"]
            raise UnknownNameError(
                f"no experiment '{experiment}' at {without_password(self.uri)}",
                hint=_nearest(experiment, used),
            )
        self.runs = [_record(run, found[run.info.experiment_id]) for run in runs]

    def find(self, wanted: str) -> RunRecord:
        """Return the run that `wanted` means: an id's beginning, a name or a run's folder.

        Raises:
            UnknownNameError: if there is none.
            InvalidValueError: if several have this name or beginning.
        """
        name = _run_of_folder(Path(wanted)) or wanted.rstrip("/")
        for match in (
            [run for run in self.runs if run.id == name],
            [run for run in self.runs if run.name == name],
            [run for run in self.runs if len(name) > 2 and run.id.startswith(name)],
        ):
            if len(match) == 1:
                return match[0]
            if match:
                ids = ", ".join(run.id[:SHORT_ID] for run in match[:10])
                raise InvalidValueError(
                    f"{len(match)} runs are called '{wanted}': {ids}", hint="give an id"
                )
        near = _nearest(wanted, [run.name for run in self.runs])
        raise UnknownNameError(
            f"no run '{wanted}' at {without_password(self.uri)}",
            hint=near if self.runs else MAKE_ONE,
        )

    def artifacts(self, run: RunRecord) -> list[str]:
        """Return the paths of all artifact files of `run`."""
        if self._client is None:
            return []
        with store.failing_as(self.uri), store.quiet():
            return sorted(_files(self._client, run.id, None))

    def download(self, run: RunRecord, artifact: str, folder: Path) -> Path | None:
        """Copy an artifact file of `run` into `folder`; None where it has none of that name."""
        if self._client is None or artifact not in self.artifacts(run):
            return None
        with store.failing_as(self.uri), store.quiet():
            return Path(self._client.download_artifacts(run.id, artifact, str(folder)))


def differing_params(runs: Sequence[RunRecord]) -> list[str]:
    """Return the names of the settings that are not equal in all `runs`."""
    names = sorted({name for run in runs for name in run.params})
    return [name for name in names if len({run.params.get(name) for run in runs}) > 1]


def _pages(client: "MlflowClient", experiments: list[str]) -> "Iterator[Run]":
    """Yield all runs, newest first."""
    token: str | None = None
    while True:
        page = client.search_runs(
            experiments,
            order_by=["attributes.start_time DESC"],
            max_results=PAGE,
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def _record(run: "Run", experiment: str) -> RunRecord:
    """Return a run's values; one that never ended lasts until now, if it still does."""
    info, tags = run.info, dict(run.data.tags)
    status, end = info.status, info.end_time
    if status == "RUNNING" and process.is_gone(tags):
        status = "KILLED"
    if status == "RUNNING":
        end = int(datetime.now().timestamp() * 1000)
    return RunRecord(
        id=info.run_id,
        name=info.run_name or "",
        experiment=experiment,
        status=status,
        started=datetime.fromtimestamp(info.start_time / 1000),
        minutes=float("nan") if end is None else (end - info.start_time) / 60_000,
        params=dict(run.data.params),
        tags={name: tag for name, tag in sorted(tags.items()) if not name.startswith("mlflow.")},
        metrics=dict(sorted(run.data.metrics.items())),
    )


def _files(client: "MlflowClient", run_id: str, folder: str | None) -> Iterator[str]:
    """Yield the artifact files below `folder`."""
    for item in client.list_artifacts(run_id, folder):
        if item.is_dir:
            yield from _files(client, run_id, item.path)
        else:
            yield item.path


def _run_of_folder(folder: Path) -> str | None:
    """Return the run id that a run's folder holds, its own name if none; None for no folder."""
    if not folder.is_dir():
        return None
    for file in (folder / "models" / "model.json", *sorted((folder / "state").glob("*.json"))):
        try:
            content = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and isinstance(content.get("run_id"), str):
            return str(content["run_id"])
    return folder.resolve().name


def _nearest(wanted: str, names: Sequence[str]) -> str:
    """Return a hint that suggests what was meant."""
    close = difflib.get_close_matches(wanted, names, n=1)
    return f"did you mean '{close[0]}'?" if close else "see all with: unetworks runs list"
