"""A tracking database a test, copied from one that is built once: building takes seconds."""

import shutil
from pathlib import Path

import pytest

from pipeline.tracking.store import URI_VARIABLE, open_client, resolve_uri


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    open_client(resolve_uri(f"sqlite:///{file}"))
    return file


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URI_VARIABLE, raising=False)


@pytest.fixture
def uri(empty_database: Path, tmp_path: Path) -> str:
    """Address of an empty database of the test's own."""
    file = tmp_path / "runs" / "mlflow.db"
    file.parent.mkdir()
    shutil.copy(empty_database, file)
    return f"sqlite:///{file}"
