import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InvalidValueError, ResourceError
from pipeline.tracking import store

ROOT = Path(__file__).parents[2]


def test_the_default_is_a_database_in_the_runs_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = store.resolve_uri()
    assert uri == f"sqlite:///{tmp_path.resolve()}/runs/mlflow.db"
    assert store.database_file(uri) == tmp_path.resolve() / "runs" / "mlflow.db"
    assert not (tmp_path / "runs").exists()


def test_the_argument_outranks_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.URI_VARIABLE, "http://server:5000")
    assert store.resolve_uri() == "http://server:5000"
    assert store.resolve_uri("https://other") == "https://other"
    assert store.database_file("https://other") is None


def test_a_relative_database_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert store.resolve_uri("sqlite:///a.db") == f"sqlite:///{tmp_path.resolve()}/a.db"


@pytest.mark.parametrize(
    ("given", "fitting"),
    [("/data/mlruns", "sqlite:////data/mlruns/mlflow.db"), ("/a/x.db", "sqlite:////a/x.db")],
)
@pytest.mark.parametrize("scheme", ["", "file:", "file://"])
def test_a_plain_folder_is_refused_with_its_sqlite_form(
    given: str, fitting: str, scheme: str
) -> None:
    with pytest.raises(InvalidValueError, match="plain path") as caught:
        store.resolve_uri(scheme + given)
    assert fitting in caught.value.hint


@pytest.mark.parametrize("given", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(given: str) -> None:
    with pytest.raises(InvalidValueError, match="names no file"):
        store.resolve_uri(given)


def test_an_unknown_scheme_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidValueError, match="unknown scheme 'htpp'") as caught:
        store.resolve_uri("htpp://me:secret@server")
    assert "secret" not in caught.value.line()


def test_how_to_open_names_a_command_for_a_file_and_the_page_of_a_server() -> None:
    assert (
        store.how_to_open("sqlite:////a/m.db") == "mlflow ui --backend-store-uri sqlite:////a/m.db"
    )
    assert store.how_to_open("http://me:pw@host:1") == "http://me:***@host:1"


def test_an_experiment_keeps_its_artifacts_beside_the_database(uri: str, tmp_path: Path) -> None:
    client = store.open_client(uri)
    first = store.experiment_id(client, uri, "attunet")
    assert store.experiment_id(client, uri, "attunet") == first
    location = client.get_experiment(first).artifact_location
    assert location == (tmp_path / "runs" / "mlartifacts").as_uri()


def test_a_deleted_experiment_is_refused(uri: str) -> None:
    client = store.open_client(uri)
    client.delete_experiment(store.experiment_id(client, uri, "old"))
    with pytest.raises(InvalidValueError, match="'old' is deleted") as caught:
        store.experiment_id(client, uri, "old")
    assert "mlflow experiments restore" in caught.value.hint


def test_a_file_that_is_no_database_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mlflow.db"
    file.write_text("not a database, but long enough to look like a file of some kind" * 20)
    with pytest.raises(ResourceError, match="can't be used") as caught:
        store.open_client(f"sqlite:///{file}")
    assert "\n" not in caught.value.line()
    assert capfd.readouterr().err == ""


def test_a_server_that_is_away_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ResourceError, match=r"me:\*\*\*@127.0.0.1:9") as caught:
        store.open_client("http://me:secret@127.0.0.1:9")
    assert "start the server" in caught.value.hint
    assert "secret" not in caught.value.line()
    assert capfd.readouterr().err == ""


def test_opening_changes_no_address_of_the_process(uri: str) -> None:
    store.open_client(uri)
    assert store.URI_VARIABLE not in os.environ


def test_two_processes_may_make_the_database_at_once(tmp_path: Path) -> None:
    code = (
        "from pipeline.tracking import store\n"
        "uri = store.resolve_uri()\n"
        "client = store.open_client(uri)\n"
        "print(store.experiment_id(client, uri, 'attunet'))\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    processes = [
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert ended[0] == ended[1]
    assert ended[0][1:] == ("", 0)
    assert ended[0][0].strip().isdigit()
    assert sorted(f.name for f in (tmp_path / "runs").iterdir()) == ["mlflow.db", "mlflow.db.lock"]
