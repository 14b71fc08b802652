"""Files with a JSON value in each line, to which several processes append at the same time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from skdpipe.errors import CacheError


def read_lines(path: Path) -> Iterator[Any]:
    """The values of the lines; those that are not JSON are left out. None without a file."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(ValueError):
            yield json.loads(line)


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
