"""Files of a foreign format that appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from skdpipe.errors import FormatError
from skdpipe.whole_file import whole_file


@contextmanager
def open_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes its name when the with block ends well, and vanishes otherwise.

    Raises:
        FormatError: if it cannot be written.
    """
    try:
        with whole_file(path) as part, part.open("w+b") as file:
            yield file
    except OSError as error:
        raise FormatError(f"cannot write {path} ({error}); free some space or choose another") from error
