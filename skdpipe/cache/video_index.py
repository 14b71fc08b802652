"""The video index: content keys of known videos, so that unchanged videos are not hashed again."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from skdpipe.cache.json_lines import append_line, is_settled, read_lines
from skdpipe.errors import CacheError, VideoError
from skdpipe.video import content_key, is_image_series

VIDEO_INDEX: Final = "video-index.jsonl"
"""Name of the file in the root of the cache."""


class VideoIndex:
    """Content keys by path, size and modification time of the video.

    The file ``video-index.jsonl`` in the root of the cache has one line for each video that was hashed. It
    only saves time: lines that cannot be read are ignored, and without the file all videos are hashed again.
    If it cannot be written, one warning says so.
    """

    def __init__(self, root: Path) -> None:
        self._path = Path(root) / VIDEO_INDEX
        self._keys = _read_keys(self._path)
        self._is_writable = True

    def has(self, video: Path) -> bool:
        """Whether `key_of` need not read the video."""
        try:
            return not is_image_series(video) and _identity_of(video) in self._keys
        except OSError:
            return False

    def key_of(self, video: Path) -> str:
        """`content_key` of a video, from the index if its size and modification time have not changed.

        A series of images is hashed each time.

        Raises:
            VideoError: if the video cannot be read.
        """
        if is_image_series(video):
            return content_key(video)
        try:
            identity = _identity_of(video)
        except OSError as error:
            raise VideoError(f"{video}: cannot be read ({error.strerror})") from error
        key = self._keys.get(identity)
        if key is None:
            key = self._keys[identity] = content_key(video)
            if self._is_writable and is_settled(identity[2]):
                self._append([*identity, key])
        return key

    def _append(self, line: list[str | int]) -> None:
        try:
            append_line(self._path, line)
        except CacheError as error:
            self._is_writable = False
            warnings.warn(f"{error}; videos are read again each time", UserWarning, stacklevel=3)


def _identity_of(video: Path) -> tuple[str, int, int]:
    """Path, size and modification time."""
    status = video.stat()
    return str(video.absolute()), status.st_size, status.st_mtime_ns


def _read_keys(index: Path) -> dict[tuple[str, int, int], str]:
    """Keys by path, size and modification time; empty if there is no index."""
    keys: dict[tuple[str, int, int], str] = {}
    for value in read_lines(index):
        match value:
            case [str(path), int(size), int(mtime_ns), str(key)]:
                keys[path, size, mtime_ns] = key
    return keys
