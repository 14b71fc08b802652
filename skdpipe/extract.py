"""Videos to skeletons of two qualities in the cache: one decoding pass, resumable, nothing lost."""

from __future__ import annotations

import csv
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import yaml

from skdpipe.cache import PoseCache, Quality, settings_slug
from skdpipe.config import Estimator, Extraction, to_plain
from skdpipe.errors import CacheError, DataError, SkdpipeError, VideoError
from skdpipe.pose import Frame, PoseEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.pose.tracking import PairReport, match_people, select_people, track
from skdpipe.progress import Progress
from skdpipe.skeleton import Keypoints, Origin, PoseSequence
from skdpipe.video import EXTENSIONS, content_key, probe, read_frames

_SPLITS = frozenset({"train", "val", "valid", "validation", "test"})
_DECODED_AHEAD = 64
T = TypeVar("T")


@dataclass(frozen=True)
class VideoItem:
    """A video and what the user says about it."""

    path: Path
    label: str | None = None
    split: str | None = None
    subject: str | None = None


@dataclass(frozen=True)
class Source:
    """One quality: an estimator that looks at one frame in ``every``.

    ``config``, if given, is left beside the sequences, so that a bundle can say how to predict.
    """

    quality: Quality
    estimator: PoseEstimator
    every: int = 1
    config: Estimator | None = None

    @property
    def settings(self) -> str:
        """The cache folder of this estimator and sampling."""
        name = self.estimator.fingerprint.removeprefix("openpifpaf ").split(" ")[0]
        return settings_slug(f"{name}-k{self.every}", f"{self.estimator.fingerprint} every {self.every}")


@dataclass
class ExtractionReport:
    """What an extraction did.

    Attributes:
        done, skipped: videos extracted now, and those whose skeletons were there already.
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


def find_videos(where: Path) -> list[VideoItem]:
    """Videos from a file, a folder, a folder of class folders, or a CSV.

    In a folder of folders the first level is the label; if the first level is train, val and test, it is
    the split and the second level the label. A CSV has the columns path and label, and if wanted split
    and subject; its paths are relative to the CSV.

    Raises:
        DataError: if there is nothing there, or the CSV has not the columns.
    """
    if where.is_dir():
        return _in_folder(where)
    if where.suffix.lower() == ".csv" and where.is_file():
        return _in_csv(where)
    if where.exists():
        return [VideoItem(where)]
    raise DataError(
        f"{where} does not exist; expected a video, a folder of videos, or a CSV with path and label"
    )


def _in_folder(folder: Path) -> list[VideoItem]:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    if not paths:
        raise DataError(f"{folder} holds no videos; expected files ending in {', '.join(sorted(EXTENSIONS))}")
    parents = [path.relative_to(folder).parts[:-1] for path in paths]
    split_first = all(part and part[0] in _SPLITS for part in parents)
    items = []
    for path, parts in zip(paths, parents, strict=True):
        split = parts[0] if split_first else None
        rest = parts[1:] if split_first else parts
        items.append(VideoItem(path, rest[0] if rest else None, split))
    return items


def _in_csv(file: Path) -> list[VideoItem]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = list(csv.DictReader(text))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is not a UTF-8 CSV ({error})") from error
    columns = set(rows[0]) if rows else set()
    if not {"path", "label"} <= columns:
        found = ", ".join(sorted(map(str, columns))) or "no rows"
        raise DataError(
            f"{file} has {found}; expected the columns path, label and, if wanted, split, subject"
        )
    return [
        VideoItem(
            file.parent / row["path"],
            row["label"] or None,
            row.get("split") or None,
            row.get("subject") or None,
        )
        for row in rows
    ]


def shard(items: Sequence[T], index: int, count: int) -> list[T]:
    """Every ``count``-th item from ``index`` on (counted from 0): shards are disjoint and lose nothing."""
    if not 0 <= index < count:
        raise DataError(f"shard {index + 1} of {count} does not exist; expected 1/{count} to {count}/{count}")
    return list(items[index::count])


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
    """
    progress = progress or Progress(quiet=True)
    report = ExtractionReport()
    known, todo = _look_up(items, sources, cache, report, progress)
    for source in sources:
        _leave_settings(source, cache)
    for item, origin in known:
        _report_pair(item, origin, sources, cache, report)
    expected = sum(_expected_frames(item.path) for item, _, _ in todo)
    with progress.task("extracting", expected or None, unit="frames") as task:
        counted = 0
        for number, (item, origin, missing) in enumerate(todo, 1):
            counted += _expected_frames(item.path)

            def on_frames(frames: int, number: int = number) -> None:
                report.frames += frames
                task.advance_to(min(report.frames, expected), f"video {number} of {len(todo)}")

            try:
                sequences = estimate(item.path, missing, origin, people, batch, on_frames)
                for source, sequence in zip(missing, sequences, strict=True):
                    cache.save(sequence, source.quality, source.settings)
            except SkdpipeError as error:
                report.failed.append((item.path, str(error)))
                continue
            report.done += 1
            _report_pair(item, origin, sources, cache, report)
    return report


def _leave_settings(source: Source, cache: PoseCache) -> None:
    if source.config is not None:
        path = cache.path_of(source.quality, source.settings, "0").with_name("estimator.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(yaml.safe_dump(to_plain(source.config), allow_unicode=True), encoding="utf-8")
        part.replace(path)


def _look_up(
    items: Sequence[VideoItem],
    sources: Sequence[Source],
    cache: PoseCache,
    report: ExtractionReport,
    progress: Progress,
) -> tuple[list[tuple[VideoItem, Origin]], list[tuple[VideoItem, Origin, list[Source]]]]:
    """What is in the cache and what is still to be done; says of unreadable files and contradictions."""
    known: list[tuple[VideoItem, Origin]] = []
    todo: list[tuple[VideoItem, Origin, list[Source]]] = []
    first_with: dict[str, VideoItem] = {}
    with progress.task("looking up", len(items), unit="videos") as task:
        for number, item in enumerate(items, 1):
            task.advance_to(number)
            try:
                key = content_key(item.path)
            except VideoError as error:
                report.failed.append((item.path, str(error)))
                continue
            twin = first_with.setdefault(key, item)
            if twin is not item:
                if twin.label != item.label:
                    reason = f"same content as {twin.path}, but labelled {item.label}, not {twin.label}"
                    report.failed.append((item.path, f"{item.path}: {reason}; delete one of them"))
                else:
                    report.skipped += 1
                continue
            origin = Origin(str(item.path), key, "", item.label, item.split, item.subject)
            missing = [source for source in sources if not cache.has(source.quality, source.settings, key)]
            if missing:
                todo.append((item, origin, missing))
            else:
                report.skipped += 1
                known.append((item, origin))
            for source in sources:
                if source not in missing:
                    _relabel(cache, source, origin)
    return known, todo


def _relabel(cache: PoseCache, source: Source, origin: Origin) -> None:
    path = cache.path_of(source.quality, source.settings, origin.key)
    there = cache.describe(path).origin
    wanted = replace(origin, estimator=there.estimator)
    if there != wanted:
        cache.relabel(path, wanted)


def _report_pair(
    item: VideoItem, origin: Origin, sources: Sequence[Source], cache: PoseCache, report: ExtractionReport
) -> None:
    """Match the people of the qualities, and note where nobody was seen."""
    try:
        sequences = {s.quality: cache.load(cache.path_of(s.quality, s.settings, origin.key)) for s in sources}
    except CacheError as error:
        report.failed.append((item.path, str(error)))
        return
    if any(sequence.is_empty for sequence in sequences.values()):
        report.deserted.append(item.path)
    if {"high", "low"} <= sequences.keys():
        report.pairs.append(match_people(sequences["high"], sequences["low"])[1])


def _expected_frames(path: Path) -> int:
    try:
        return probe(path).frames
    except VideoError:
        return 0


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
    for frame in ahead(read_frames(path), _DECODED_AHEAD):
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


def ahead(items: Iterator[T], most: int) -> Iterator[T]:
    """The same items, made in a thread of their own up to ``most`` ahead of the reader."""
    box: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(most)
    stop = threading.Event()

    def put(entry: tuple[T | None, BaseException | None]) -> None:
        while not stop.is_set():
            try:
                return box.put(entry, timeout=0.1)
            except queue.Full:
                continue
        return None

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if stop.is_set():
                    return
                put((item, None))
        except BaseException as caught:  # handed to the reader, who raises it
            error = caught
        put((None, error or StopIteration()))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = box.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
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


def shard_of(items: Sequence[T], text: str) -> list[T]:
    """The shard that ``i/n`` names, counted from 1."""
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit()):
        raise DataError(f"cannot read the shard '{text}'; expected i/n, for example 1/4")
    return shard(items, int(index) - 1, int(count))
