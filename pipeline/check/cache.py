"""Facts of cases kept between runs, as long as path, size and time of all files stay."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.check.facts import CaseFacts
from pipeline.io import atomic_path
from pipeline.manifests import Case
from pipeline.settings import cache_dir

FORMAT = 2  # raise when a fact or the way it is measured changes


def stamp_of(case: Case) -> str:
    """Return a hash of path, size and time of every file of a case; folders with all inside."""
    paths = (*case.images, *([case.label] if case.label else []))
    text = json.dumps([line for path in paths for line in _lines(path)])
    return hashlib.sha256(text.encode()).hexdigest()


def load_facts(case: Case, stamp: str) -> CaseFacts | None:
    """Return what was measured before on the very same files, or None."""
    try:
        stored = json.loads(_file(case).read_text())
        if stored["stamp"] == stamp and stored["format"] == FORMAT:
            return CaseFacts.from_json(stored["facts"] | {"id": case.id})
    except (OSError, ValueError, KeyError, TypeError):  # not there, or cut off: measured anew
        return None
    return None


def store_facts(case: Case, stamp: str, facts: CaseFacts) -> None:
    """Keep the facts; those with an error of reading are not kept, for these name paths."""
    if facts.problems:
        return
    file = _file(case)
    file.parent.mkdir(parents=True, exist_ok=True)
    # the id may name a patient, and comes with the manifest anyway
    plain = facts.to_json() | {"id": ""}
    with atomic_path(file) as draft:
        draft.write_text(json.dumps({"format": FORMAT, "stamp": stamp, "facts": plain}))


def _file(case: Case) -> Path:
    """The cache's file of a case, named by its paths and not by what lies there."""
    paths = [str(path) for path in (*case.images, *([case.label] if case.label else []))]
    name = hashlib.sha256(json.dumps([paths, case.series]).encode()).hexdigest()[:32]
    return cache_dir() / "checks" / f"{name}.json"


def _lines(path: Path) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of a file, or of all files of a folder."""
    try:
        status = path.stat()
    except OSError:
        return
    yield str(path), status.st_size, status.st_mtime_ns
    if path.is_dir():
        for root, folders, files in os.walk(path):
            folders.sort()
            for name in sorted(files):
                found = os.stat(os.path.join(root, name), follow_symlinks=False)
                yield os.path.join(root, name), found.st_size, found.st_mtime_ns
