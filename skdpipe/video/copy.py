"""A video in a store is copied to this machine while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skdpipe.errors import VideoError
from skdpipe.storage import Place, local_copy


@contextmanager
def copied(video: Place) -> Iterator[Path]:
    """The path of a video during the block; of one in a store, that of a copy.

    Raises:
        VideoError: if it cannot be copied.
        SkdpipeError: those of the block, as `local_copy`.
    """
    try:
        with local_copy(video) as path:
            yield path
    except OSError as error:
        if isinstance(video, Path) or error.filename != str(video):
            raise
        raise VideoError(f"{video}: cannot be read ({error.strerror})") from error
