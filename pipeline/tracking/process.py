"""Which process a run belongs to, and whether that process is still there.

A number alone is reused by the next process, and a start time moves when the clock is set.
On Linux a process is therefore named by the boot, the namespace that its number is valid in,
and its start in clock ticks since the boot.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

HOST, PID, START = "host", "pid", "process_start"


def identity() -> dict[str, str]:
    """Return the tags that name this process: host, number and start."""
    return {
        HOST: socket.gethostname(),
        PID: str(os.getpid()),
        START: _start(os.getpid()) or "unknown",
    }


def is_gone(tags: Mapping[str, str]) -> bool:
    """Say whether the process named by `tags` has certainly ended.

    False whenever it can't be known: another host, another container (its numbers mean
    nothing here), tags that are missing.
    """
    start, number = tags.get(START, "unknown"), tags.get(PID, "")
    if tags.get(HOST) != socket.gethostname() or start == "unknown" or not number.isdigit():
        return False
    now = _start(int(number))
    if now == start:
        return False
    boot, _, rest = start.partition(":")
    namespace = rest.partition(":")[0]
    own = _start(os.getpid()) or ""
    same_boot = own.startswith(f"{boot}:")
    return not same_boot or own.startswith(f"{boot}:{namespace}:")


def peak_memory() -> int:
    """Return the most memory this process has held, in bytes."""
    # The kernel hands a parent's `ru_maxrss` on to what it starts, so it comes second.
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if os.uname().sysname == "Darwin" else most * 1024


def _start(number: int) -> str | None:
    """Return `BOOT:NAMESPACE:TICKS` of a live process, None if there is none."""
    try:
        process = psutil.Process(number)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return _linux_start(number) or f"any:any:{process.create_time():.0f}"
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def _linux_start(number: int) -> str | None:
    """Return the name of a live process by the kernel's own counts, None elsewhere."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        return None
    # the name stands in brackets and may hold spaces: count the fields from behind it
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    return f"{boot.read_text().strip()}:{namespace}:{fields[19]}"
