"""`ledger.jsonl`: what became of each case, so that the same call again does what is missing."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.errors import DataError, ResourceError
from pipeline.predict.inputs import InputCase

NAME: Final = "ledger.jsonl"
PAIR: Final = (".hdr", ".img", ".hdr.gz", ".img.gz")  # of Analyze and NIfTI-1
Line = Mapping[str, Any]


def append_ledger(folder: Path, line: Line) -> None:
    """Add a line; one write, so that two processes do not mix theirs.

    Raises:
        ResourceError: The disk is full.
        DataError: The folder cannot be written.
    """
    path = folder / NAME
    text = (json.dumps(line) + "\n").encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, b"\n" + text if torn else text)
        finally:
            os.close(handle)
    except OSError as error:
        kind = ResourceError if error.errno == 28 else DataError  # no space left
        raise kind(
            f"{path}: cannot be written ({error.strerror})", hint="free space or choose a folder"
        ) from error


def read_ledger(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the last line of each case; a line that a crash cut short counts for nothing."""
    path = folder / NAME
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Any]] = {}
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("case"), str):
            found[line["case"]] = line
    return found


def is_done(line: Line | None, wanted: Line, outputs: Sequence[Path]) -> bool:
    """Whether a case need not be predicted again.

    Args:
        line: Its last one in the ledger.
        wanted: `sha256` of the weights, `options` and `source`, which have to be those of then.
        outputs: Its files, which have to be there.
    """
    if line is None or line.get("state") != "done":
        return False
    return all(line.get(key) == value for key, value in wanted.items()) and all(
        path.is_file() for path in outputs
    )


def fingerprint(*parts: object) -> str:
    """Return a short hash of what has a stable text, such as frozen dataclasses and dicts."""
    return hashlib.sha256("\0".join(map(repr, parts)).encode()).hexdigest()[:16]


def source_of(case: InputCase) -> str:
    """Return a short hash of size and time of a case's files: another scan is another case."""
    facts = []
    for image in case.images:
        for file in _files_of(image):
            try:
                stat = file.stat()
            except OSError:  # reading it will say more
                continue
            facts.append((stat.st_size, stat.st_mtime_ns))
    return fingerprint(facts)


def _files_of(image: Path) -> list[Path]:
    """The files that an image's voxels come from."""
    if image.name.upper() == "DICOMDIR":
        image = image.parent
    if image.is_dir():
        return sorted(p for p in image.rglob("*") if p.is_file())
    for suffix in PAIR:
        if image.name.lower().endswith(suffix):
            stem = image.name[: -len(suffix)]
            both = (image.with_name(stem + other) for other in PAIR)
            return [image, *(file for file in both if file.is_file() and file != image)]
    return [image]
