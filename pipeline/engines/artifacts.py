"""Models made for engines, kept in the cache: whole or not at all, checked when they are used."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from pipeline import __version__
from pipeline.engines.subject import Subject, structure
from pipeline.errors import ResourceError
from pipeline.settings import CACHE_VARIABLE, cache_dir

ENTRY: Final = "entry.json"


def cached(
    form: str,
    subject: Subject,
    packages: tuple[str, ...],
    make: Callable[[Path], None],
    **more: Any,
) -> Path:
    """A folder with a model in the form that an engine reads, made now if it is not there intact.

    Its name follows from all that the model depends on, so nothing in it ever has to be renewed.
    A second process that asks for it waits for the first.

    Args:
        form: What is in it, e.g. `openvino-fp32`.
        subject: The network, its weights' hash and the window.
        packages: Distributions whose versions the model depends on, besides torch and MONAI.
        make: Writes the model into an empty folder.
        **more: What else it depends on.

    Raises:
        ResourceError: The cache can't be written.
    """
    key = {
        "form": form,
        "weights": subject.digest,
        "structure": structure(subject.network),
        "shape": subject.shape,
        "versions": versions(("torch", "monai", *packages)),
        **more,
    }
    folder = cache_dir() / "engines" / f"{form}-{name_of(key)}"
    if intact(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if not intact(folder):  # no other process was first
                _fill(folder, key, make)
    except OSError as error:
        raise ResourceError(
            f"{folder}: the exported model can't be written ({error.strerror or error})",
            hint=f"free some space or set {CACHE_VARIABLE} to a folder that can be written",
        ) from error
    return folder


def name_of(key: Mapping[str, Any]) -> str:
    """A short name for all that something in the cache depends on."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Ours, and those of the packages that are installed."""
    found = {"unetworks": __version__}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def intact(folder: Path) -> bool:
    """Whether a folder of the cache is there and each of its files is as it was written."""
    try:
        sums: dict[str, str] = json.loads((folder / ENTRY).read_text())["files"]
        return all(_sum(folder / name) == wanted for name, wanted in sums.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _fill(folder: Path, key: Mapping[str, Any], make: Callable[[Path], None]) -> None:
    """Make a model beside `folder`, then give it its name; what was there is damaged."""
    draft = folder.with_name(f".{uuid.uuid4().hex[:8]}.{folder.name}")
    try:
        draft.mkdir()
        make(draft)
        files = {path.name: _sum(path) for path in sorted(draft.iterdir())}
        (draft / ENTRY).write_text(json.dumps({"files": files, "key": key}, indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
