"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from itertools import count
from pathlib import Path

from pipeline.errors import DataError, ResourceError
from pipeline.settings import CACHE_VARIABLE, cache_dir

_END = 64  # characters of the name: a long one must not become too long by ours
_numbers = count()
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.EFBIG, errno.EINVAL,
}  # fmt: skip


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a hidden temporary name beside `path`; rename it on success, remove it on any error.

    The temporary name ends like `path`, so that a writer which goes by the suffix is right.
    The folder is made if it is missing.

    Raises:
        ResourceError: The disk is full.
        DataError: The folder or the file cannot be written.
    """
    target = Path(path)
    draft = target.with_name(f".{os.getpid():06x}{next(_numbers) % 256:02x}.{_end_of(target)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        os.replace(draft, target)
    except OSError as error:
        # only faults of the very file: what else failed inside the block is not ours to name
        ours = error.filename is None or Path(error.filename) in (draft, target, *target.parents)
        if error.errno in _FULL:
            raise ResourceError(
                f"{path}: no space left on the disk", hint="free some space and run it again"
            ) from error
        if ours and error.errno in _REFUSED:
            raise not_writable(path, error) from error
        raise
    finally:
        if os.path.lexists(draft):
            draft.unlink()


def made_folder(path: Path) -> Path:
    """Return a folder, made with those above it where they are missing.

    Raises:
        DataError: It can't be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(path, error) from error
    return path


def not_writable(path: str | Path, error: OSError) -> DataError:
    """What a path is to a user that the system does not let us write."""
    cached = Path(path).absolute().is_relative_to(cache_dir().absolute())
    return DataError(
        f"{path}: cannot be written ({error.strerror})",
        hint=f"set {CACHE_VARIABLE} to another folder" if cached else "choose another name",
    )


def left_drafts(path: Path) -> Iterator[Path]:
    """Yield the temporary files that killed processes of this machine have left beside `path`."""
    for draft in path.parent.glob(f".????????.{escape(_end_of(path))}"):
        with suppress(ValueError):
            if not _lives(int(draft.name[1:7], 16)):
                yield draft


def _end_of(target: Path) -> str:
    return target.name[-_END:]


def _lives(process: int) -> bool:
    """Whether another process, or this one, has the number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
