"""When a file last changed: size and time, of all files of a folder one by one."""

import os
from collections.abc import Iterator
from pathlib import Path


def file_stamps(path: str | Path) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and time in ns of a file, or of a folder and all files in it, sorted.

    A folder's own time stays when one of its files is written over. Nothing of a path that is
    not there.
    """
    try:
        status = os.stat(path)
    except OSError:
        return
    yield str(path), status.st_size, status.st_mtime_ns
    if os.path.isdir(path):
        for root, folders, files in os.walk(path):
            folders.sort()
            for name in sorted(files):
                found = os.stat(os.path.join(root, name), follow_symlinks=False)
                yield os.path.join(root, name), found.st_size, found.st_mtime_ns
