"""Files with an end: pipes, sockets and devices are not opened, since reading them may block or never end."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from skdpipe.errors import VideoError

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
