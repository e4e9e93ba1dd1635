"""glibc's allocator told to keep large blocks: fresh pages cost ten times their first write."""

import ctypes
import os
import sys
from typing import Any, Final

from pipeline.settings import ALLOCATOR_VARIABLE

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
DEFAULT_TRIM, DEFAULT_MMAP_MAX = 128 * 1024, 65536
AS_IT_IS: Final = "system"  # the variable's value that leaves the allocator alone


def _mallopt() -> Any:
    """Glibc's `mallopt`; None on other systems."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return None


def keep_large_blocks(on: bool) -> bool:
    """Serve large blocks from the heap and never trim it (`on`), or as glibc does by default.

    Returns:
        Whether this system's allocator can be told so.
    """
    mallopt = _mallopt()
    if mallopt is None:
        return False
    mallopt(M_MMAP_MAX, 0 if on else DEFAULT_MMAP_MAX)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1 if on else DEFAULT_TRIM)
    return True


def tune_for_windows() -> bool:
    """Keep large blocks, as forwards in torch ask for the same ones again and again.

    Returns:
        Whether it was done: `UNETWORKS_ALLOCATOR=system` leaves the allocator as it is.
    """
    return os.environ.get(ALLOCATOR_VARIABLE) != AS_IT_IS and keep_large_blocks(True)
