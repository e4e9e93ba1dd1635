"""One process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from pipeline.io.atomic import made_folder, not_writable


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`, a hidden file; others wait. The folder is made if missing.

    Raises:
        DataError: It can't be written.
    """
    lock = FileLock(made_folder(path.parent) / f".{path.name}.lock")
    try:
        lock.acquire()
    except OSError as error:
        raise not_writable(path, error) from error
    try:
        yield
    finally:
        lock.release()
