"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from skdpipe.errors import FormatError


@contextmanager
def open_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes its name when the with block ends well, and vanishes otherwise.

    Raises:
        FormatError: if it cannot be written.
    """
    part = path.with_name(f".{path.name}-{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w+b") as file:
                yield file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise FormatError(f"cannot write {path} ({error}); free some space or choose another") from error
