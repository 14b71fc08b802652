"""Opening files that may be anything: named pipes and devices are refused, since reading them may not end."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import Final

_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def kind_of(path: Path) -> str:
    """What a path leads to: file, folder, pipe, socket or device.

    Raises:
        OSError: if there is no such file, or it cannot be accessed.
        ValueError: if the path contains a null character.
    """
    return _KINDS.get(stat.S_IFMT(path.stat().st_mode), "special file")


def require_regular(path: Path) -> None:
    """Check that a path is a file that can be read to its end, or a folder.

    Raises:
        OSError: if it is a named pipe, a socket or a device, or does not exist.
    """
    if (kind := kind_of(path)) not in {"file", "folder"}:
        raise OSError(errno.EINVAL, f"it is a {kind}, not a regular file", str(path))


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
