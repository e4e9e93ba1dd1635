"""How much memory this process took at most, from one case to the next."""

import resource
import sys
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_RESET: Final = Path("/proc/self/clear_refs")


def forget_peak() -> None:
    """Let the peak start anew, where the system can: on Linux."""
    try:
        _RESET.write_text("5")
    except OSError:  # another system, or a container that forbids it
        return


def peak_gib() -> float:
    """Largest resident memory of this process since `forget_peak`, in GiB; else since its start."""
    try:
        lines = _STATUS.read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        return kib / 2**20
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
