import shutil
import subprocess
from pathlib import Path

import pytest

import pipeline
from pipeline.tracking import provenance


def _clone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a repository whose package is the running one, and return its commit."""
    (folder / "pipeline").mkdir(parents=True)
    module = folder / "pipeline" / "__init__.py"
    module.write_text("")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    monkeypatch.setattr(pipeline, "__file__", str(module))
    head = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    return subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_the_clones_and_says_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = _clone(tmp_path, monkeypatch)
    assert len(head) == 40
    assert provenance.commit() == head
    assert provenance.provenance()["commit"] == head
    (tmp_path / "pipeline" / "__init__.py").write_text("changed = 1")
    assert provenance.commit() == f"{head}-dirty"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_package_installed_inside_a_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _clone(tmp_path, monkeypatch)
    installed = tmp_path / ".venv" / "pipeline"
    installed.mkdir(parents=True)
    monkeypatch.setattr(pipeline, "__file__", str(installed / "__init__.py"))
    assert provenance.commit() is None
    assert "commit" not in provenance.provenance()


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(pipeline, "__file__", str(tmp_path / "pipeline" / "__init__.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit() is None


def test_versions_and_a_user_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    tags = provenance.provenance()
    assert tags["mlflow.user"] == "ada"
    assert tags["version.unetworks"] == pipeline.__version__
    for name in ("torch", "monai", "mlflow", "python"):
        assert tags[f"version.{name}"][0].isdigit()


def test_a_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert provenance.user() == "unknown"
