"""The video index: content keys of known videos, so that unchanged videos are not hashed again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from skdpipe.cache.json_lines import add_lines, append_line, is_settled, read_lines
from skdpipe.errors import CacheError, VideoError
from skdpipe.storage import Place, State, full_name, place_of, state_of
from skdpipe.video import content_key, copied, is_image_series

VIDEO_INDEX: Final = "video-index.jsonl"
"""Name of the file in the root of the cache; in a store, of files that start like it (`is_of_index`)."""

_Identity = tuple[str, int, int | str]  # path, size and modification time; in a store address, size and ETag
_IN_A_FILE: Final = 1000  # lines that are written together to a store


def is_of_index(name: str) -> bool:
    """Whether a file of this name in the root of a cache is the index, or a part of it."""
    return name.startswith(Path(VIDEO_INDEX).stem) and name.endswith(Path(VIDEO_INDEX).suffix)


@dataclass(frozen=True)
class KnownVideo:
    """What is recorded of a video.

    Attributes:
        key: `content_key`.
        frames: number of frames according to the container, 0 if it states none; None if it was not read.
    """

    key: str
    frames: int | None = None


@dataclass(frozen=True)
class ReadVideo:
    """What was found in a video, and the identity of its file before; None for a series of images."""

    identity: _Identity | None
    known: KnownVideo


class VideoIndex:
    """Content keys and numbers of frames by path, size and modification time of the video.

    The file ``video-index.jsonl`` in the root of the cache has one line for each video that was hashed. It
    only saves time: lines that cannot be read are ignored, and without the file all videos are hashed again.
    If it cannot be written, one warning says so. A cache in a store has several such files, the last of which
    `flush` writes.
    """

    def __init__(self, root: Place) -> None:
        self._path = place_of(root) / VIDEO_INDEX
        self._videos = _read_videos(self._path)
        self._is_writable = True
        self._waiting: list[list[str | int]] = []  # lines for a store

    def find(self, video: Place, state: State | None = None) -> KnownVideo | None:
        """What is known of a video that has not changed; None of a series of images.

        Args:
            video: the video.
            state: of its file, if it is known.

        Raises:
            VideoError: if there is no such video.
        """
        return None if _is_series(video) else self._videos.get(_identity_of(video, state))

    def add(self, read: ReadVideo) -> None:
        """Record what was found in a video; a series of images is not recorded."""
        if read.identity is None:
            return
        self._videos[read.identity] = read.known
        if self._is_writable and _is_settled(read.identity):
            frames = [] if read.known.frames is None else [read.known.frames]
            self._append([*read.identity, read.known.key, *frames])

    def key_of(self, video: Place) -> str:
        """`content_key` of a video, from the index if its size and modification time have not changed.

        A series of images is hashed each time.

        Raises:
            VideoError: if the video cannot be read.
        """
        known = self.find(video)
        if known is None:
            read = read_video(video)
            self.add(read)
            known = read.known
        return known.key

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


def read_video(video: Place, count_frames: Callable[[Path], int] | None = None) -> ReadVideo:
    """Hash a video for the index.

    Args:
        video: the video.
        count_frames: called first; the number of frames according to the container.

    Raises:
        VideoError: if the video cannot be read, or as ``count_frames``.
    """
    identity = None if _is_series(video) else _identity_of(video)
    with copied(video) as path:
        frames = None if count_frames is None else count_frames(path)
        return ReadVideo(identity, KnownVideo(content_key(path), frames))


def _is_series(video: Place) -> bool:
    return isinstance(video, Path) and is_image_series(video)


def _identity_of(video: Place, state: State | None = None) -> _Identity:
    """Path, size and modification time; of a video in a store address, size and ETag.

    Raises:
        VideoError: if there is no such file.
    """
    try:
        state = state or state_of(video)
    except OSError as error:
        raise VideoError(f"{video}: cannot be read ({error.strerror})") from error
    return full_name(video), state.size, state.change


def _is_settled(identity: _Identity) -> bool:
    change = identity[2]
    return isinstance(change, str) or is_settled(change)


def _read_videos(index: Place) -> dict[_Identity, KnownVideo]:
    """What is known of each video; empty if there is no index."""
    videos: dict[_Identity, KnownVideo] = {}
    for value in read_lines(index):
        match value:
            case [str(path), int(size), int() | str() as change, str(key)]:
                videos[path, size, change] = KnownVideo(key)
            case [str(path), int(size), int() | str() as change, str(key), int(frames)]:
                videos[path, size, change] = KnownVideo(key, frames)
    return videos
