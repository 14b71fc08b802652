"""Output files: written atomically, and failures reported as FormatError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from skdpipe.atomic_file import open_atomically
from skdpipe.errors import FormatError


@contextmanager
def report_write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a FormatError that names the path."""
    try:
        yield
    except OSError as error:
        raise FormatError(f"cannot write {path} ({error}); free some space or choose another path") from error


@contextmanager
def open_output(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears at ``path`` when the block succeeds.

    Raises:
        FormatError: if it cannot be written.
    """
    with report_write_errors(path), open_atomically(path) as file:
        yield file
