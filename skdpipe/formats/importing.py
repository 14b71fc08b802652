"""Importing foreign skeletons into the cache; an interrupted import can be resumed."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from skdpipe.cache import Entry, PoseCache, Quality
from skdpipe.cache.import_index import FileState, ImportIndex, state_of
from skdpipe.cache.video_index import VideoIndex
from skdpipe.errors import CacheError, CacheWriteError, DataError
from skdpipe.formats.reading import Reading, ReadingReport, read_clips
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence


def import_poses(reading: Reading, cache: PoseCache, quality: Quality, progress: Progress) -> ReadingReport:
    """Read clips and save those that the cache lacks.

    A clip whose skeletons are in the cache is already present; its label, split and subject replace those in
    the cache, unless they are not specified now or were corrected by hand. This includes clips whose file was
    moved to another class folder: the same skeletons, whose former file no longer exists, are the same clip.
    Other skeletons from the same source replace those in the cache. Other skeletons from another source are
    refused. Files with one clip each that have not changed since they were imported are not read.

    Args:
        reading: the data set.
        cache: where to save; the folder is ``reading.settings``.
        quality: the quality to save the clips as.
        progress: shows clips per second.

    Returns:
        Counts of the clips; one that fails does not stop the others.

    Raises:
        FormatError: if there are no files.
        CacheError: if the cache is in a store, or nothing can be written to it (`CacheWriteError`).
    """
    root = cache.local_root("importing poses")
    cache.remove_leftovers()
    report = ReadingReport()
    keeps_keys = not reading.where.is_dir() and not reading.videos
    folder = _CacheFolder(cache, quality, reading.settings, report, keeps_keys)
    index = ImportIndex(root, quality, reading.settings, reading.where)
    states: dict[Path, FileState] = {}

    def is_known(file: Path, key: str) -> bool:
        states[file] = state_of(file)
        return key in folder.by_key and index.has(file, states[file], key)

    for file, sequence in read_clips(reading, report, progress, is_known, VideoIndex(cache.root).key_of):
        try:
            folder.add(sequence)
        except CacheWriteError:
            raise
        except (DataError, CacheError) as error:
            report.add_failure(str(error), f"{file} {error.kind}" if error.kind else "")
            continue
        if file in states:
            index.add(file, states.pop(file), sequence.origin.key)
    return report


@dataclass
class _CacheFolder:
    """The clips of a folder of the cache by key and by source; damaged files count as missing.

    Attributes:
        cache, quality, settings: the folder.
        report: counts the clips.
        keeps_keys: whether a clip of a known source keeps its key: alone, its name is distinct, while it may
            have been imported with others of the same name.
        by_key, by_source: the entries by key and by the absolute path of the source.
    """

    cache: PoseCache
    quality: Quality
    settings: str
    report: ReadingReport
    keeps_keys: bool
    by_key: dict[str, Entry] = field(default_factory=dict)
    by_source: dict[str, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in self.cache.entries(self.quality, self.settings, skip_damaged=True):
            self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        self.by_key[entry.origin.key] = entry
        self.by_source[_absolute(entry.origin.source)] = entry

    def add(self, sequence: PoseSequence) -> None:
        """Save a clip, or only its labels if its skeletons are there, and count it.

        Raises:
            DataError: if the folder has other skeletons from another source under its key.
            CacheError: if the clip's file cannot be written.
        """
        source = _absolute(sequence.origin.source)
        known = self.by_source.get(source)
        key = known.origin.key if known is not None and self.keeps_keys else sequence.origin.key
        origin = self.cache.with_corrections(replace(sequence.origin, source=source, key=key))
        cached = self.by_key.get(key)
        moved = (known or self._former(sequence)) if cached is None else None  # its key has changed
        before = cached or moved
        if before is not None:
            origin = origin.with_corrections_of(before.origin).with_labels_of(before.origin)
        same = before is not None and self._holds(before, sequence)
        if cached is not None and not same and _absolute(cached.origin.source) != source:
            raise _other_skeletons(source, cached)
        if before is None or not same or before.origin != origin:
            path = self.cache.save(replace(sequence, origin=origin), self.quality, self.settings)
            if moved is not None:
                moved.path.unlink(missing_ok=True)
                self.by_key.pop(moved.origin.key, None)
                self.by_source.pop(_absolute(moved.origin.source), None)
            self._remember(self.cache.describe(path))
        self.report.done += before is None
        self.report.skipped += same
        self.report.replaced += before is not None and not same
        self.report.corrected += bool(origin.corrected)
        self.report.relabelled += before is not None and same and before.origin.labels != origin.labels

    def _former(self, sequence: PoseSequence) -> Entry | None:
        """The entry of these skeletons whose file no longer exists."""
        if sequence.is_empty:
            return None
        entry = self._without_file.get(_digest(sequence))
        is_there = entry is not None and entry.path.is_file() and self._holds(entry, sequence)
        return entry if is_there else None

    @cached_property
    def _without_file(self) -> dict[str, Entry]:
        """The entries whose file no longer exists, by the digest of their keypoints."""
        found = {}
        for source, entry in self.by_source.items():
            if not _exists(Path(source)):
                with suppress(CacheError):
                    found[_digest(self.cache.load(entry.path))] = entry
        return found

    def _holds(self, entry: Entry, sequence: PoseSequence) -> bool:
        try:
            return have_same_skeletons(self.cache.load(entry.path), sequence)
        except CacheError:
            return False


def have_same_skeletons(a: PoseSequence, b: PoseSequence) -> bool:
    """Whether two sequences differ at most in their origin."""
    return (
        (a.video_frames, a.layout, a.fps, a.size) == (b.video_frames, b.layout, b.fps, b.size)
        and np.array_equal(a.frame_index, b.frame_index)
        and np.array_equal(a.seconds, b.seconds)
        and np.array_equal(a.keypoints, b.keypoints, equal_nan=True)
    )


def _other_skeletons(source: str, cached: Entry) -> DataError:
    error = DataError(
        f"{source} has other skeletons than {cached.origin.source}, which was imported as the same clip; "
        "expected one of each name: import the folder above both, rename one of the two, or delete "
        f"{cached.path} to replace it"
    )
    error.kind = f"other skeletons than of {Path(cached.origin.source).parent}"
    return error


def _digest(sequence: PoseSequence) -> str:
    return hashlib.sha256(np.ascontiguousarray(sequence.keypoints).tobytes()).hexdigest()


def _exists(source: Path) -> bool:
    """Whether there is a file or folder of this path, or a file of the start of it, which holds the clip."""
    return source.exists() or any(parent.is_file() for parent in source.parents)


def _absolute(source: str) -> str:
    return str(Path(source).absolute())
