"""What is missing: which videos lack which qualities in the cache.

Only the headers of cached files are read, and only videos that have changed are read (`look_up_videos`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from skdpipe.cache import Entry, PoseCache, Quality
from skdpipe.cache.video_index import KnownVideo, VideoIndex
from skdpipe.engines import Engine
from skdpipe.errors import CacheError, CacheReadError, CacheWriteError, DataError, NewerVersionError
from skdpipe.extraction.look_up import count_frames, look_up_videos
from skdpipe.extraction.report import reason_of
from skdpipe.extraction.sources import Source
from skdpipe.extraction.video_list import VideoItem
from skdpipe.progress import Progress
from skdpipe.skeleton import Origin
from skdpipe.storage import Place, is_folder, is_local

_AT_ONCE: Final = 32  # videos whose headers are read together from a store


@dataclass(frozen=True)
class ExtractionJob:
    """A video that must be decoded.

    Attributes:
        item: the video.
        origin: its source, key and labels.
        missing: the qualities that the cache lacks.
        frames: number of frames according to the container, 0 if unknown.
    """

    item: VideoItem
    origin: Origin
    missing: tuple[Quality, ...]
    frames: int


@dataclass(frozen=True)
class ExtractionPlan:
    """The work that is left.

    Attributes:
        jobs: videos to decode.
        skipped: number of videos without a job, because they are in the cache or more than once in the list.
        relabelled: number of videos in the cache whose label, split or subject changed.
        corrected: number of videos whose label, split or subject was corrected by hand and kept.
        without_people: skipped videos in which an estimator detected no person.
        failed: path and reason for each video that cannot be extracted.
    """

    jobs: tuple[ExtractionJob, ...]
    skipped: int
    relabelled: int
    corrected: int
    without_people: tuple[Place, ...]
    failed: tuple[tuple[Place, str], ...]


def plan_extraction(
    items: Sequence[VideoItem],
    sources: Sequence[Source],
    cache: PoseCache,
    *,
    people: int,
    engine: Engine | None = None,
    progress: Progress,
) -> ExtractionPlan:
    """Find out what the cache lacks, and update the labels of what it contains, except corrected ones.

    A sequence that is damaged, or has another number of people, counts as missing. Any error of one video is
    the reason for which it fails; the others go on.

    Args:
        items: the videos.
        sources: the qualities.
        cache: the pose cache.
        people: number of people of each sequence.
        engine: as for `look_up_videos`.
        progress: shows the number of videos checked.

    Raises:
        CacheWriteError: if labels cannot be written.
        CacheError: if a store cannot be read.
    """
    index = VideoIndex(cache.root)
    jobs: list[ExtractionJob] = []
    failed: list[tuple[Place, str]] = []
    without_people: list[Place] = []
    relabelled = corrected = 0
    first_with: dict[str, VideoItem] = {}  # by content key
    listed = cache.as_listed()
    with progress.task("looking up", len(items), unit="videos") as task, ExitStack() as at_end:
        at_end.callback(index.flush)
        looked_up = _reading_ahead(look_up_videos(items, index, engine), listed)
        for number, (item, known) in enumerate(looked_up, 1):
            try:
                if isinstance(known, str):
                    failed.append((item.path, known))
                elif known.key in first_with:
                    _require_same_labels(item, first_with[known.key])
                else:
                    first_with[known.key] = item
                    origin, entries = _look_up(item, known.key, sources, listed, people)
                    if _labels_differ(origin, entries):
                        with cache.changing_labels():  # another process may have corrected them meanwhile
                            origin, entries = _look_up(item, known.key, sources, cache, people)
                            relabelled += _relabel(origin, entries, cache)
                    corrected += bool(origin.corrected)
                    job = _job_of(item, origin, sources, entries, known)
                    if job is not None:
                        jobs.append(job)
                    elif any(entry.empty for entry in entries if entry is not None):
                        without_people.append(item.path)
            except CacheWriteError:
                raise
            except Exception as error:
                failed.append((item.path, reason_of(item.path, error)))
            task.advance_to(number)
    skipped = len(items) - len(jobs) - len(failed)
    return ExtractionPlan(tuple(jobs), skipped, relabelled, corrected, tuple(without_people), tuple(failed))


def _reading_ahead(
    videos: Iterator[tuple[VideoItem, KnownVideo | str]], cache: PoseCache
) -> Iterator[tuple[VideoItem, KnownVideo | str]]:
    """The videos; of a cache in a store, the headers of some of them are read at once."""
    if is_local(cache.root):
        yield from videos
    while some := list(islice(videos, _AT_ONCE)):
        cache.read_ahead({known.key for _, known in some if isinstance(known, KnownVideo)})
        yield from some


def _require_same_labels(item: VideoItem, first: VideoItem) -> None:
    """Check a video against the first one in the list with the same content.

    Raises:
        DataError: if label, split or subject differ.
    """
    found, expected = ((each.label, each.split, each.subject) for each in (item, first))
    if found != expected:
        raise DataError(
            f"{item.path} has the same content as {first.path}, but label, split, subject are "
            f"{', '.join(map(str, found))} instead of {', '.join(map(str, expected))}; delete one of the two"
        )


def _find_entry(source: Source, cache: PoseCache, key: str, people: int) -> Entry | None:
    """Header of the cached sequence; None if it is missing, damaged or has another number of people.

    Raises:
        CacheError: if it cannot be replaced: a folder, or a sequence that a later version of skdpipe wrote;
            or if a store cannot be read.
    """
    path = cache.path_of(source.quality, source.settings, key)
    if is_local(path) and is_folder(path):
        raise CacheError(f"{path} is a folder; expected a cached sequence: rename or delete the folder")
    try:
        entry = cache.describe(path)
    except (NewerVersionError, CacheReadError):
        raise
    except CacheError:
        return None
    return entry if entry.people == people else None


def _look_up(
    item: VideoItem, key: str, sources: Sequence[Source], cache: PoseCache, people: int
) -> tuple[Origin, list[Entry | None]]:
    """The labels of a video, and its cached sequences.

    Labels that were corrected by hand in any settings are kept; those that are not specified are those of its
    cached sequences.
    """
    entries = [_find_entry(source, cache, key, people) for source in sources]
    cached = [entry for entry in entries if entry is not None]
    specified = Origin(str(item.path), key, "", item.label, item.split, item.subject)
    origin = cache.with_corrections(specified, cached)
    for entry in cached:
        origin = origin.with_labels_of(entry.origin)
    return origin, entries


def _labels_differ(origin: Origin, entries: Sequence[Entry | None]) -> bool:
    return any(
        entry is not None and entry.origin != replace(origin, estimator=entry.origin.estimator)
        for entry in entries
    )


def _relabel(origin: Origin, entries: Sequence[Entry | None], cache: PoseCache) -> bool:
    """Relabel the cached sequences of a video; whether label, split or subject of one of them changed."""
    for entry in entries:
        if entry is not None:
            cache.relabel(entry.path, replace(origin, estimator=entry.origin.estimator))
    return any(entry is not None and entry.origin.labels != origin.labels for entry in entries)


def _job_of(
    item: VideoItem,
    origin: Origin,
    sources: Sequence[Source],
    entries: Sequence[Entry | None],
    known: KnownVideo,
) -> ExtractionJob | None:
    """The job for the sequences of a video that the cache lacks, None if there are none."""
    missing = tuple(source.quality for source, entry in zip(sources, entries, strict=True) if entry is None)
    if not missing:
        return None
    frames = count_frames(item.path) if known.frames is None else known.frames
    return ExtractionJob(item, origin, missing, frames)
