"""Memory: reuse of what this process frees, its peak, and what the machine has left."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path
from typing import Final

from skdpipe.control_groups import memory_left

# Parameters of mallopt (malloc.h of the GNU C library).
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory instead of returning it to the system, until the process ends.

    A training step on the CPU allocates and frees feature maps of many megabytes. By default the GNU C
    library maps such blocks again each time, and the system fills every page with zeros, which can take as
    long as the arithmetic. Memory use does not shrink afterwards, so this is for processes that only train.

    Returns:
        Whether the setting was applied; only the GNU C library has it.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))


def free_memory() -> int | None:
    """Bytes of main memory that this process can still get; None where the system does not say.

    A container may limit it.
    """
    known = [each for each in (_free_on_machine(), memory_left()) if each is not None]
    return min(known, default=None)


def _free_on_machine() -> int | None:
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", info.read_text(encoding="ascii"))
    return 1024 * int(found[1]) if found else None


def peak_memory() -> int | None:
    """The most bytes of main memory that this process has had at once; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.is_file():  # a new process inherits the ru_maxrss of its parent
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        return 1024 * int(found[1]) if found else None
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
