"""Where a run's manifest lies is known on this machine alone."""

from pathlib import Path

import pytest

from pipeline.manifests import known_manifest, remember_manifest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_path_is_kept_from_the_root_on_and_a_name_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set.json").touch()
    remember_manifest("ab", "set.json", "data")
    remember_manifest("cd", "phantom", None)
    assert known_manifest("ab") == (str(tmp_path / "set.json"), str(tmp_path / "data"))
    assert known_manifest("cd") == ("phantom", None)
    assert known_manifest("ef") is None


def test_a_damaged_note_and_a_cache_that_cannot_be_written_are_no_matter(cache: Path) -> None:
    remember_manifest("ab", "phantom", None)
    (cache / "manifests" / "ab.json").write_text("[")
    assert known_manifest("ab") is None
    (cache / "manifests" / "ab.json").unlink()
    (cache / "manifests").rmdir()
    (cache / "manifests").touch()
    remember_manifest("ab", "phantom", None)
    assert known_manifest("ab") is None
