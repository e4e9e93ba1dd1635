"""Files that appear whole or not at all."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import DataError, ResourceError

_END = 64  # characters of the name: a long one must not become too long by ours
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
    draft = target.with_name(f".{uuid.uuid4().hex[:8]}.{target.name[-_END:]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        os.replace(draft, target)
    except OSError as error:
        # only faults of the very file: what else failed inside the block is not ours to name
        ours = error.filename is None or Path(error.filename) in (draft, target, target.parent)
        if error.errno in _FULL:
            raise ResourceError(
                f"{path}: no space left on the disk", hint="free some space and run it again"
            ) from error
        if ours and error.errno in _REFUSED:
            raise DataError(
                f"{path}: cannot be written ({error.strerror})", hint="choose another name"
            ) from error
        raise
    finally:
        if os.path.lexists(draft):
            draft.unlink()
