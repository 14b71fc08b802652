"""Files with a JSON value in each line, to which several processes append: the indices of the cache."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from skdpipe.errors import CacheError

# A file that was changed this recently may change again without a new modification time.
_CLOCK_RESOLUTION_NS: Final = 2_000_000_000


def read_lines(path: Path) -> Iterator[Any]:
    """The values of the lines; those that are not JSON are left out. None without a file."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(ValueError, RecursionError):
            yield json.loads(line)


def is_settled(time_ns: int) -> bool:
    """Whether a file that was last changed at this time gets a new modification time if it changes again."""
    return time.time_ns() - time_ns > _CLOCK_RESOLUTION_NS


def append_line(path: Path, value: object) -> None:
    """Append a line with one write; a killed process leaves at most one incomplete line.

    Raises:
        CacheError: if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            # The newline first: it also ends an incomplete line.
            file.write(f"\n{json.dumps(value)}".encode())
    except OSError as error:
        raise CacheError(f"cannot write {path} ({error.strerror}); choose another folder") from error
