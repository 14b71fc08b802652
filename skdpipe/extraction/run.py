"""Videos to skeletons of two qualities in the cache: one decoding pass, resumable, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import yaml

from skdpipe.atomic_file import write_text_atomically
from skdpipe.cache import PoseCache
from skdpipe.config import to_plain
from skdpipe.errors import CacheError, DataError, SkdpipeError, VideoError
from skdpipe.extraction.sources import Source
from skdpipe.extraction.video_list import VideoItem
from skdpipe.pose.estimate import estimate_video
from skdpipe.progress import Progress, Task
from skdpipe.skeleton import Origin, PoseSequence
from skdpipe.skeleton.people import PairReport, match_people
from skdpipe.video import content_key, probe


@dataclass
class ExtractionReport:
    """What an extraction did.

    Attributes:
        done, skipped: videos extracted now, and those that were there already or twice in the list.
        failed: path and reason of every video that could not be done.
        without_people: videos in which an estimator saw nobody.
        pairs: how well the people of both qualities match, for each video done or skipped.
        frames: frames decoded.
    """

    done: int = 0
    skipped: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)
    without_people: list[Path] = field(default_factory=list)
    pairs: list[PairReport] = field(default_factory=list)
    frames: int = 0

    @property
    def oks(self) -> float:
        """Mean keypoint similarity of matched people, NaN if none matched."""
        values = [pair.oks for pair in self.pairs if pair.matched]
        return float(np.mean(values)) if values else float("nan")


def extract_videos(
    items: Sequence[VideoItem],
    sources: Sequence[Source],
    cache: PoseCache,
    *,
    people: int = 2,
    batch: int = 16,
    progress: Progress | None = None,
) -> ExtractionReport:
    """Extract every quality of every video that the cache does not hold yet.

    Args:
        items: the videos.
        sources: the qualities.
        cache: where skeletons are kept.
        people: how many people a sequence keeps, by mean confidence.
        batch: frames that go through an estimator at once.
        progress: shows frames a second and time left.

    Returns:
        What was done, skipped and failed. A video that fails does not stop the others.

    Raises:
        CacheError: if the cache cannot be written; what is in it stays, and the next call goes on.
    """
    assert batch > 0
    progress = progress or Progress(quiet=True)
    report = ExtractionReport()
    cache.remove_leftovers()
    for source in sources:
        _leave_settings(source, cache)
    jobs = _look_up(items, sources, cache, people, report, progress)
    promised = sum(job.frames for job in jobs)
    before = 0
    with progress.task("extracting", promised or None, unit="frames") as task:
        for number, job in enumerate(jobs, 1):
            note = f"video {number} of {len(jobs)}"
            watch = _watch(task, report, before, job.frames if promised else None, note)
            try:
                sequences = estimate_video(
                    job.item.path,
                    [source.sampled for source in job.missing],
                    job.origin,
                    people=people,
                    batch=batch,
                    on_frames=watch,
                )
            except SkdpipeError as error:
                report.failed.append((job.item.path, str(error)))
            else:
                for source, sequence in zip(job.missing, sequences, strict=True):
                    cache.save(sequence, source.quality, source.settings)
                report.done += 1
                there = [
                    (s, cache.load(cache.path_of(s.quality, s.settings, job.origin.key))) for s in sources
                ]
                _note_people(job.item, there, report)
            before = before + job.frames if promised else report.frames
            task.advance_to(before, note)
    return report


@dataclass(frozen=True)
class _Job:
    """A video that the cache lacks in some quality, and how many frames its container promises."""

    item: VideoItem
    origin: Origin
    missing: tuple[Source, ...]
    frames: int


def _watch(
    task: Task, report: ExtractionReport, before: int, promised: int | None, note: str
) -> Callable[[int], None]:
    """Count a video's decoded frames; the bar moves by no more than were promised (None: nothing was)."""
    start = report.frames

    def on_frames(more: int) -> None:
        report.frames += more
        decoded = report.frames - start
        task.advance_to(before + (decoded if promised is None else min(decoded, promised)), note)

    return on_frames


def _leave_settings(source: Source, cache: PoseCache) -> None:
    if source.config is None:
        return
    path = cache.path_of(source.quality, source.settings, "0").with_name("estimator.yaml")
    try:
        write_text_atomically(path, yaml.safe_dump(to_plain(source.config), allow_unicode=True))
    except OSError as error:
        raise CacheError(f"cannot write {path} ({error.strerror}); choose another folder") from error


def _look_up(
    items: Sequence[VideoItem],
    sources: Sequence[Source],
    cache: PoseCache,
    people: int,
    report: ExtractionReport,
    progress: Progress,
) -> list[_Job]:
    """What is still to be done; labels of what is there are renewed, unreadable files are reported."""
    jobs: list[_Job] = []
    first_with: dict[str, VideoItem] = {}
    with progress.task("looking up", len(items), unit="videos") as task:
        for number, item in enumerate(items, 1):
            try:
                key = content_key(item.path)
                twin = first_with.setdefault(key, item)
                job = None if _is_twin(item, twin) else _job(item, key, sources, cache, people, report)
            except (DataError, VideoError) as error:
                report.failed.append((item.path, str(error)))
            else:
                report.skipped += job is None
                jobs += [job] if job else []
            task.advance_to(number)
    return jobs


def _is_twin(item: VideoItem, first: VideoItem) -> bool:
    """Whether the same content came before.

    Raises:
        DataError: if something else was said about it then.
    """
    mine, other = ((each.label, each.split, each.subject) for each in (item, first))
    if mine != other:
        raise DataError(
            f"{item.path} has the same content as {first.path}, but label, split, subject are "
            f"{', '.join(map(str, mine))} instead of {', '.join(map(str, other))}; delete one of the two"
        )
    return item is not first


def _job(
    item: VideoItem,
    key: str,
    sources: Sequence[Source],
    cache: PoseCache,
    people: int,
    report: ExtractionReport,
) -> _Job | None:
    """What is missing of a video, None if nothing is."""
    sequences = [_cached(cache, source, key, people) for source in sources]
    there = [(source, found) for source, found in zip(sources, sequences, strict=True) if found is not None]
    origin = Origin(str(item.path), key, "", item.label, item.split, item.subject)
    for _, sequence in there:
        origin = _completed(origin, sequence.origin)
    for source, sequence in there:
        wanted = replace(origin, estimator=sequence.origin.estimator)
        if sequence.origin != wanted:
            cache.save(replace(sequence, origin=wanted), source.quality, source.settings)
    missing = tuple(source for source, found in zip(sources, sequences, strict=True) if found is None)
    if missing:
        return _Job(item, origin, missing, probe(item.path).frames)
    _note_people(item, there, report)
    return None


def _cached(cache: PoseCache, source: Source, key: str, people: int) -> PoseSequence | None:
    """The sequence if it is there; one that is damaged or keeps other numbers of people is made again."""
    try:
        sequence = cache.load(cache.path_of(source.quality, source.settings, key))
    except CacheError:
        return None
    return sequence if sequence.people == people else None


def _completed(origin: Origin, known: Origin) -> Origin:
    """What is said now, and what was said before where nothing is said now."""
    return replace(
        origin,
        label=origin.label or known.label,
        split=origin.split or known.split,
        subject=origin.subject or known.subject,
    )


def _note_people(
    item: VideoItem, sequences: Iterable[tuple[Source, PoseSequence]], report: ExtractionReport
) -> None:
    """Match the people of the qualities, and note where nobody was seen."""
    by_quality = {source.quality: sequence for source, sequence in sequences}
    if any(sequence.is_empty for sequence in by_quality.values()):
        report.without_people.append(item.path)
    if {"high", "low"} <= by_quality.keys():
        report.pairs.append(match_people(by_quality["high"], by_quality["low"])[1])
