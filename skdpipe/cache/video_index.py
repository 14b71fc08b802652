"""The video index: content keys of known videos, so that unchanged videos are not hashed again."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from skdpipe.cache.json_lines import add_lines, append_line, is_settled, read_lines
from skdpipe.errors import CacheError, VideoError
from skdpipe.storage import Place, full_name, place_of, state_of
from skdpipe.video import content_key, is_image_series

VIDEO_INDEX: Final = "video-index.jsonl"
"""Name of the file in the root of the cache; in a store, of files that start like it (`is_of_index`)."""

_Identity = tuple[str, int, int | str]
_IN_A_FILE: Final = 1000  # lines that are written together to a store


def is_of_index(name: str) -> bool:
    """Whether a file of this name in the root of a cache is the index, or a part of it."""
    return name.startswith(Path(VIDEO_INDEX).stem) and name.endswith(Path(VIDEO_INDEX).suffix)


class VideoIndex:
    """Content keys by path, size and modification time of the video.

    The file ``video-index.jsonl`` in the root of the cache has one line for each video that was hashed. It
    only saves time: lines that cannot be read are ignored, and without the file all videos are hashed again.
    If it cannot be written, one warning says so. A cache in a store has several such files, the last of which
    `flush` writes.
    """

    def __init__(self, root: Place) -> None:
        self._path = place_of(root) / VIDEO_INDEX
        self._keys = _read_keys(self._path)
        self._is_writable = True
        self._waiting: list[list[str | int]] = []  # lines for a store

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
            if self._is_writable and _is_settled(identity):
                self._append([*identity, key])
        return key

    def flush(self) -> None:
        """Write what a store does not have yet; a folder of this machine has everything."""
        if self._waiting:
            lines, self._waiting = self._waiting, []
            self._write(lines)

    def _append(self, line: list[str | int]) -> None:
        if isinstance(self._path, Path):
            self._write([line])
        else:
            self._waiting.append(line)
            if len(self._waiting) >= _IN_A_FILE:
                self.flush()

    def _write(self, lines: list[list[str | int]]) -> None:
        try:
            if isinstance(self._path, Path):
                for line in lines:
                    append_line(self._path, line)
            else:
                add_lines(self._path, lines)
        except CacheError as error:
            self._is_writable = False
            warnings.warn(f"{error}; videos are read again each time", UserWarning, stacklevel=4)


def _identity_of(video: Place) -> _Identity:
    """Path, size and modification time; of a video in a store address, size and ETag."""
    state = state_of(video)
    return full_name(video), state.size, state.change


def _is_settled(identity: _Identity) -> bool:
    change = identity[2]
    return isinstance(change, str) or is_settled(change)


def _read_keys(index: Place) -> dict[_Identity, str]:
    """Keys by path, size and modification time; empty if there is no index."""
    keys: dict[_Identity, str] = {}
    for value in read_lines(index):
        match value:
            case [str(path), int(size), int() | str() as change, str(key)]:
                keys[path, size, change] = key
    return keys
