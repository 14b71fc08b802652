"""Videos to skeletons of two qualities in the cache: one decoding pass, resumable, nothing lost."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import yaml

from skdpipe.cache import PoseCache, Quality, settings_slug
from skdpipe.config import Estimator, Extraction, to_plain
from skdpipe.errors import CacheError, DataError, SkdpipeError, VideoError
from skdpipe.listing import VideoItem
from skdpipe.pose import Frame, PoseEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.pose.tracking import PairReport, match_people, select_people, track
from skdpipe.progress import Progress, Task
from skdpipe.skeleton import Keypoints, Origin, PoseSequence
from skdpipe.video import content_key, probe, read_frames
from skdpipe.whole_file import write_whole_text

_DECODED_AHEAD = 64  # frames, if they fit into the next line
_BYTES_AHEAD = 256 * 2**20
T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """One quality: an estimator that looks at one frame in ``every``.

    ``config``, if given, is left beside the sequences, so that a bundle can say how to predict.
    """

    quality: Quality
    estimator: PoseEstimator
    every: int = 1
    config: Estimator | None = None

    def __post_init__(self) -> None:
        assert self.every > 0

    @property
    def settings(self) -> str:
        """The cache folder of this estimator and sampling."""
        name = self.estimator.fingerprint.removeprefix("openpifpaf ").split(" ")[0]
        return settings_slug(f"{name}-k{self.every}", f"{self.estimator.fingerprint} every {self.every}")


@dataclass
class ExtractionReport:
    """What an extraction did.

    Attributes:
        done, skipped: videos extracted now, and those that were there already or twice in the list.
        failed: path and reason of every video that could not be done.
        deserted: videos in which an estimator saw nobody.
        pairs: how well the people of both qualities match, for each video done or skipped.
        frames: frames decoded.
    """

    done: int = 0
    skipped: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)
    deserted: list[Path] = field(default_factory=list)
    pairs: list[PairReport] = field(default_factory=list)
    frames: int = 0

    @property
    def oks(self) -> float:
        """Mean keypoint similarity of matched people, NaN if none matched."""
        values = [pair.oks for pair in self.pairs if pair.matched]
        return float(np.mean(values)) if values else float("nan")


def extract(
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
                sequences = estimate(job.item.path, job.missing, job.origin, people, batch, watch)
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
        write_whole_text(path, yaml.safe_dump(to_plain(source.config), allow_unicode=True))
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
        report.deserted.append(item.path)
    if {"high", "low"} <= by_quality.keys():
        report.pairs.append(match_people(by_quality["high"], by_quality["low"])[1])


def estimate(
    path: Path,
    sources: Sequence[Source],
    origin: Origin,
    people: int,
    batch: int,
    on_frames: Callable[[int], None] = lambda frames: None,
) -> list[PoseSequence]:
    """One decoding pass over a video for all sources; people keep their identity.

    Args:
        path: the video.
        sources: who looks at which frames.
        origin: what is known of the video.
        people: how many are kept, by mean confidence.
        batch: frames that go through an estimator at once.
        on_frames: told how many more frames have been decoded.

    Returns:
        A sequence for each source.

    Raises:
        VideoError: if the video cannot be decoded to its end.
    """
    info = probe(path)
    waiting: list[list[Frame]] = [[] for _ in sources]
    found: list[list[Keypoints]] = [[] for _ in sources]
    count, size = 0, info.size
    most = max(1, min(_DECODED_AHEAD, _BYTES_AHEAD // (3 * size[0] * size[1] + 1)))
    with closing(ahead(read_frames(path), most)) as all_frames:
        for frame in all_frames:
            size = (frame.shape[1], frame.shape[0])
            for source, frames, poses in zip(sources, waiting, found, strict=True):
                if count % source.every == 0:
                    frames.append(frame)
                if len(frames) == batch:
                    poses.extend(source.estimator(frames))
                    frames.clear()
            count += 1
            if count % batch == 0:
                on_frames(batch)
    sequences = []
    for source, frames, poses in zip(sources, waiting, found, strict=True):
        if frames:
            poses.extend(source.estimator(frames))
        tracks = track(poses, source.estimator.layout, size)
        sequences.append(
            PoseSequence(
                select_people(tracks, people),
                np.arange(0, count, source.every, dtype=np.int32),
                count,
                source.estimator.layout,
                info.fps,
                size,
                replace(origin, estimator=source.estimator.fingerprint),
            )
        )
    on_frames(count % batch)
    return sequences


@dataclass(frozen=True)
class _End:
    """After the last item; the error that stopped their making, if one did."""

    error: BaseException | None = None


def ahead(items: Iterable[T], most: int) -> Generator[T]:
    """The same items, made in a thread of their own up to ``most`` ahead of the reader.

    An error in their making reaches the reader where the next item would have been; a reader who leaves
    early (`close`) stops the thread.
    """
    box: queue.Queue[T | _End] = queue.Queue(most)
    stop = threading.Event()

    def put(entry: T | _End) -> None:
        while not stop.is_set():
            try:
                return box.put(entry, timeout=0.1)
            except queue.Full:
                continue
        return None

    def work() -> None:
        end = _End()
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
        except BaseException as error:  # handed to the reader, who raises it
            end = _End(error)
        put(end)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while not isinstance(entry := box.get(), _End):
            yield entry
        if entry.error is not None:
            raise entry.error
    finally:
        stop.set()
        thread.join()


def open_sources(settings: Extraction, device: torch.device) -> list[Source]:
    """The two qualities that the settings name, high first.

    Raises:
        PoseError: if an estimator or its weights cannot be had.
    """
    chosen: tuple[tuple[Quality, Estimator], ...] = (("high", settings.high), ("low", settings.low))
    return [Source(name, load_estimator(each, device), each.every, each) for name, each in chosen]
