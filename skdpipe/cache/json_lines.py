"""Files with a JSON value in each line, to which several processes append: the indices of the cache.

A file of a store cannot be appended to: there each process writes new lines to a new file beside it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from skdpipe.errors import CacheError
from skdpipe.storage import Place, add_part, read_parts

# A file that was changed this recently may change again without a new modification time.
_CLOCK_RESOLUTION_NS: Final = 2_000_000_000


def read_lines(path: Place) -> Iterator[Any]:
    """The values of the lines; those that are not JSON are left out. None without a file."""
    try:
        parts = [path.read_bytes()] if isinstance(path, Path) else read_parts(path)
    except OSError:
        return
    for line in (line for part in parts for line in part.splitlines()):
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
        raise _unwritable(path, error) from error


def add_lines(path: Place, values: Sequence[object]) -> None:
    """Write lines to a new file beside a file of a store.

    Raises:
        CacheError: if it cannot be written.
    """
    try:
        add_part(path, "".join(f"{json.dumps(value)}\n" for value in values).encode())
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Place, error: OSError) -> CacheError:
    return CacheError(f"cannot write {path} ({error.strerror}); choose another folder")
