"""Videos and images are regular files: pipes, sockets and devices are not opened."""

from __future__ import annotations

from pathlib import Path

from skdpipe.errors import VideoError
from skdpipe.regular_file import kind_of


def require_regular_file(path: Path) -> None:
    """Check that a path leads to a regular file.

    Raises:
        VideoError: if it does not.
    """
    try:
        kind = kind_of(path)
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file") from error
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise VideoError(f"{path}: no such file ({error}); correct the path") from error
    if kind != "file":
        raise VideoError(f"{path}: cannot be read: a {kind}; expected a regular file")
