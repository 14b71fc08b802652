"""Memory that a training step frees and the next one wants again."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

# mallopt's names for its settings (malloc.h of the GNU C library).
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed instead of giving it back to the system, until the process ends.

    A step on the CPU allocates and frees feature maps of many megabytes. The GNU C library maps such blocks
    afresh each time, and the system then fills page after page with zeros, which can cost as much as the
    arithmetic. For a process that trains, and does nothing else, memory kept is memory well used.

    Returns:
        Whether it could be had: only the GNU C library knows these settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
