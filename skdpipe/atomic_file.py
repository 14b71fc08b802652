"""Atomic writing: a file appears complete or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

PARTIAL_SUFFIX: Final = ".part"
"""Suffix of unfinished files, which are hidden files beside their target."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it when the block succeeds and deleted when it fails.

    The file is synced to disk before the rename. The folder is created if it does not exist.

    Raises:
        OSError: if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}{PARTIAL_SUFFIX}")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file, or leave the old one as it is."""
    with atomic_path(path) as part:
        part.write_bytes(content)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 file, or leave the old one as it is."""
    write_bytes_atomically(path, text.encode())


@contextmanager
def open_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A binary file for writing and reading, renamed to ``path`` when the block succeeds."""
    with atomic_path(path) as part, part.open("w+b") as file:
        yield file
