"""Where runs are recorded, and the only place that opens MLflow.

MLflow keeps a tracking address in global state and in the environment, where it reaches
every other user of the process; here each client is given its address instead.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from pipeline.errors import InvalidValueError, PipelineError, ResourceError
from pipeline.settings import runs_dir, without_password

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

URI_VARIABLE = "MLFLOW_TRACKING_URI"
DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
LOCK_SECONDS = 120
SERVERS = ("http", "https", "postgresql", "mysql", "mssql", "databricks", "databricks-uc")
# MLflow's own defaults wait minutes for a server that is gone and print to standard output
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def resolve_uri(tracking_uri: str | None = None) -> str:
    """Return the address that runs are recorded at, a local file as an absolute sqlite one.

    Args:
        tracking_uri: None: `MLFLOW_TRACKING_URI`, else `runs/mlflow.db` in the current folder.

    Raises:
        InvalidValueError: for a folder, a `file:` address, a database in memory and for a
            scheme that MLflow does not have.
    """
    given = tracking_uri or os.environ.get(URI_VARIABLE)
    if not given:
        return _sqlite(runs_dir() / DATABASE)
    scheme = given.partition(":")[0].partition("+")[0].lower()
    if scheme == "sqlite":
        path = given.partition("://")[2]
        if not path.strip("/") or ":memory:" in path:
            raise InvalidValueError(
                f"tracking_uri '{given}' names no file",
                hint=f"give one, such as {_sqlite(runs_dir() / DATABASE)}",
            )
        return _sqlite(Path(path[1:]))
    if scheme in SERVERS and ("://" in given or scheme.startswith("databricks")):
        return given
    if scheme == "file" or "://" not in given:
        path = given.partition("://")[2] if "://" in given else given.removeprefix("file:")
        file = Path(path) if Path(path).suffix in (".db", ".sqlite") else Path(path) / DATABASE
        raise InvalidValueError(
            f"tracking_uri '{given}' is a plain path, which MLflow no longer writes to",
            hint=f"use its sqlite form, {_sqlite(file)}",
        )
    raise InvalidValueError(
        f"tracking_uri '{without_password(given)}' has the unknown scheme '{scheme}'",
        hint=f"use sqlite:///FILE, or a server by one of {', '.join(SERVERS)}",
    )


def database_file(uri: str) -> Path | None:
    """Return the file of a resolved sqlite address, None for a server."""
    return Path(uri.partition("sqlite:///")[2]) if uri.startswith("sqlite:///") else None


def how_to_open(uri: str) -> str:
    """Return what to type, or to open in a browser, to see the runs at a resolved `uri`."""
    if urlsplit(uri).scheme in ("http", "https"):
        return without_password(uri)
    return f"mlflow ui --backend-store-uri {without_password(uri)}"


def open_client(uri: str) -> "MlflowClient":
    """Return a client of a resolved `uri`; a local database is created if there is none.

    Two processes may do so at once. A new database is built under another name and appears
    whole: one that was interrupted halfway through MLflow's migrations would stay broken.

    Raises:
        ResourceError: if the database can't be opened or the server does not answer.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    file = database_file(uri)
    with failing_as(uri), quiet(), _locked(file):
        if file is not None and not file.exists():
            _create(file)
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return client


def experiment_id(client: "MlflowClient", uri: str, name: str) -> str:
    """Return the id of experiment `name`, created if it is new.

    Raises:
        InvalidValueError: if an experiment of this name lies in MLflow's bin.
        ResourceError: if the server refuses.
    """
    file = database_file(uri)
    location = None if file is None else (file.parent / ARTIFACTS).as_uri()
    with failing_as(uri), quiet(), _locked(file):
        found = client.get_experiment_by_name(name)
        if found is None:
            return _new_experiment(client, name, location)
    if found.lifecycle_stage != "active":
        raise InvalidValueError(
            f"experiment '{name}' is deleted in {without_password(uri)}",
            hint=f"choose another with --experiment, or run: mlflow experiments restore "
            f"--experiment-id {found.experiment_id}",
        )
    return str(found.experiment_id)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the loggers of MLflow and its HTTP library silent; errors still arrive as such."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _sqlite(file: Path) -> str:
    """Return the address of a database file."""
    return f"sqlite:///{file.expanduser().resolve()}"


def _create(file: Path) -> None:
    """Build an empty tracking database and move it to `file`."""
    from mlflow.tracking import MlflowClient

    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        MlflowClient(tracking_uri=_sqlite(new))
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def _new_experiment(client: "MlflowClient", name: str, location: str | None) -> str:
    """Create an experiment; another process that was faster is as good."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


@contextmanager
def _locked(file: Path | None) -> Iterator[None]:
    """Hold the lock beside a local database; none for a server or a folder read only."""
    if file is None:
        yield
        return
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
    writable = os.access(file.parent, os.W_OK)
    lock = FileLock(f"{file}.lock", timeout=LOCK_SECONDS) if writable else nullcontext()
    with lock:
        yield


@contextmanager
def failing_as(uri: str) -> Iterator[None]:
    """Turn what MLflow, SQLAlchemy and requests raise into one line about the address."""
    try:
        yield
    except PipelineError:
        raise
    except Timeout as error:
        raise ResourceError(
            f"{error.lock_file} is held by another process for over {LOCK_SECONDS} s",
            hint="end that process, or delete the file if there is none",
        ) from error
    except Exception as error:  # drivers of databases and servers share no base class
        if database_file(uri) is None:
            hint = "start the server, or leave tracking_uri out to use a local file"
        elif "out-of-date" in str(error):
            hint = f"back it up, then run: mlflow db upgrade {uri}"
        else:
            hint = "move it away and start again: a new one is made"
        reason = without_password(" ".join(str(error).split()))[:200]
        raise ResourceError(
            f"the tracking store {without_password(uri)} can't be used "
            f"({type(error).__name__}: {reason})",
            hint=hint,
        ) from error
