"""Facts of cases kept between runs, as long as path, size and time of all files stay."""

import hashlib
import json
from pathlib import Path

from pipeline.check.facts import CaseFacts
from pipeline.io import atomic_path, file_stamps
from pipeline.manifests import Case
from pipeline.settings import cache_dir

FORMAT = 3  # raise when a fact or the way it is measured changes


def stamp_of(case: Case) -> str:
    """Return a hash of path, size and time of every file of a case; folders with all inside."""
    lines = [line for path in case.files for line in file_stamps(path)]
    text = json.dumps([case.label_facts, *lines])
    return hashlib.sha256(text.encode()).hexdigest()


def load_facts(case: Case, stamp: str, kind: str) -> CaseFacts | None:
    """Return what was measured before on the very same files, or None."""
    try:
        stored = json.loads(_file(case, kind).read_text())
        if stored["stamp"] == stamp and stored["format"] == FORMAT:
            return CaseFacts.from_json(stored["facts"] | {"id": case.id})
    except (OSError, ValueError, KeyError, TypeError):  # not there, or cut off: measured anew
        return None
    return None


def store_facts(case: Case, stamp: str, kind: str, facts: CaseFacts) -> None:
    """Keep the facts; those with an error of reading are not kept, for these name paths."""
    if facts.problems:
        return
    file = _file(case, kind)
    # the id may name a patient, and comes with the manifest anyway
    plain = facts.to_json() | {"id": ""}
    with atomic_path(file) as draft:
        draft.write_text(json.dumps({"format": FORMAT, "stamp": stamp, "facts": plain}))


def _file(case: Case, kind: str) -> Path:
    """The cache's file of a case, named by its paths and not by what lies there."""
    paths = [str(path) for path in case.files]
    name = hashlib.sha256(json.dumps([kind, paths, case.series]).encode()).hexdigest()[:32]
    return cache_dir() / "checks" / f"{name}.json"
