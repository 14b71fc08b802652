"""Cached clips whose video no longer exists."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from skdpipe.cache import Entry, PoseCache
from skdpipe.cache.video_index import VideoIndex
from skdpipe.errors import CacheError, DataError, VideoError
from skdpipe.extraction.video_list import find_videos
from skdpipe.folders import folders_below
from skdpipe.progress import Progress
from skdpipe.video import EXTENSIONS, is_image_series

_KEY_LENGTH: Final = 32  # of a video; the key of a clip without a video is longer


def find_orphans(
    cache: PoseCache, videos: Sequence[Path], progress: Progress | None = None
) -> frozenset[str]:
    """The keys of cached clips whose video is not in some folders, by the content of the videos.

    A clip is no orphan if it was imported without a video, its source still exists, or one of its files
    cannot be used.

    Args:
        cache: the pose cache.
        videos: the folders; all of them that were extracted.
        progress: shows the number of videos read.

    Raises:
        DataError: if something in the folders cannot be read, they hold no videos, or none of the cache.
        VideoError: if a video cannot be read.
    """
    progress = progress or Progress(quiet=True)
    paths = [path for folder in videos for path in _videos_in(folder)]
    index = VideoIndex(cache.root)
    found = set()
    with progress.task("reading videos", len(paths), unit="videos") as task:
        for number, path in enumerate(paths, 1):
            found.add(index.key_of(path))
            task.advance_to(number)
    cached = {key for key in cache.all_keys() if len(key) == _KEY_LENGTH}
    named = ", ".join(map(str, videos))
    if cached and not cached & found:
        raise DataError(
            f"none of the {len(found)} videos in {named} is in {cache.root}; expected the folder of the "
            "videos that were extracted"
        )
    return frozenset(key for key in cached - found if _is_orphan(cache, key, index))


def _videos_in(folder: Path) -> list[Path]:
    """The videos in a folder, all of which can be searched.

    Raises:
        DataError: if it is no folder, a part of it cannot be read, or it holds no videos.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder that can be read; expected the folder of the videos")
    for each in folders_below(folder):
        lost = [each.path] if each.error else [Path(entry) for entry in each.entries if _is_lost(Path(entry))]
        if lost:
            raise DataError(
                f"{lost[0]} cannot be read; expected all videos, since those that are missing would count as "
                "deleted: connect the drive, or delete the link"
            )
    return [item.local_path for item in find_videos(folder, labels=False)]


def _is_lost(path: Path) -> bool:
    """Whether a link leads nowhere."""
    return path.is_symlink() and not path.exists()


def _is_orphan(cache: PoseCache, key: str, index: VideoIndex) -> bool:
    """Whether the sources of all sequences of a clip are known, and none of them exists."""
    try:
        entries = [cache.describe(path) for path in cache.paths_of(key)]
    except CacheError:
        return False
    return not any(_exists(entry, index) for entry in entries)


def _exists(entry: Entry, index: VideoIndex) -> bool:
    """Whether the source of a sequence exists: its video, or the file of imported skeletons.

    One in a store counts as existing.
    """
    if "://" in entry.origin.source:
        return True
    source = Path(entry.origin.source)
    if source.suffix.lower() in EXTENSIONS or is_image_series(source):
        with suppress(VideoError):
            return index.key_of(source) == entry.origin.key
    try:
        return source.exists()
    except ValueError:  # a null character
        return False
