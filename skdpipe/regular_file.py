"""Opening files that may be anything: named pipes and devices are refused, since reading them may not end."""

from __future__ import annotations

import errno
import stat
from pathlib import Path


def require_regular(path: Path) -> None:
    """Check that a path is a file that can be read to its end, or a folder.

    Raises:
        OSError: if it is a named pipe, a socket or a device, or does not exist.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def is_regular(path: Path) -> bool:
    """Whether a path is a regular file or a link to one; False also for names that no file can have."""
    try:
        return path.is_file()
    except OSError:
        return False


def read_regular(path: Path, most_bytes: int = -1) -> bytes:
    """The content of a regular file.

    Args:
        path: the file.
        most_bytes: the largest size; by default any.

    Raises:
        OSError: if it cannot be read, is not a regular file, or is larger.
    """
    require_regular(path)
    with path.open("rb") as file:
        content = file.read(most_bytes + 1 if most_bytes >= 0 else -1)
    if 0 <= most_bytes < len(content):
        raise OSError(errno.EFBIG, f"it has more than {most_bytes} bytes", str(path))
    return content
