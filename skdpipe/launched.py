"""How `torchrun` started this process, from the environment; without importing torch."""

from __future__ import annotations

import os

from skdpipe.errors import ProcessError, SkdpipeError


def launched_processes() -> tuple[int, int]:
    """The number of this process, from 0, and how many were started together: 0 and 1 without `torchrun`."""
    index, count = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        return 0, 1
    return int(index), int(count)


def is_first_process() -> bool:
    """Whether this is the process that prints what is the same in all processes."""
    return launched_processes()[0] == 0


def reported_once(error: SkdpipeError) -> SkdpipeError:
    """What to raise for an error that all processes find without each other: the first one reports it."""
    return error if is_first_process() else ProcessError(str(error), reported=True)
