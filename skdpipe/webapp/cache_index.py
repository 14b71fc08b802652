"""The clips of the pose cache, found by label, split and text."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from skdpipe.cache import Entry, PoseCache, Quality
from skdpipe.cache.pose_cache import is_entry
from skdpipe.errors import CacheError, SkdpipeError

_PAGE: Final = 50
_PURPOSE: Final = "the web application"
_FRESH: Final = 3.0  # seconds
_QUALITIES: Final[tuple[Quality, ...]] = ("high", "low")

_FileState = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of the cache: a clip in one quality.

    Attributes:
        path: the file.
        quality, settings: the folders that it is in.
        source, label, split, subject: as in `Origin`.
        original: the labels before corrections by hand, of those that were corrected.
        frames: number of rows.
        seconds: length of the clip.
        state: of the file, which changes with its content.
    """

    path: Path
    quality: Quality
    settings: str
    source: str
    label: str | None
    split: str | None
    subject: str | None
    original: tuple[tuple[str, str | None], ...]
    frames: int
    seconds: float
    state: _FileState


@dataclass(frozen=True, slots=True)
class CachedClip:
    """A clip of the cache.

    Attributes:
        key: of the clip.
        files: in all qualities and settings, the high ones first.
        labelled: the file whose labels are shown: the first that has one.
        text: what is searched, in lower case.
    """

    key: str
    files: tuple[Stored, ...]
    labelled: Stored
    text: str

    @property
    def label(self) -> str:
        """The label, empty if there is none."""
        return self.labelled.label or ""

    @property
    def split(self) -> str:
        """The split, empty if there is none."""
        return self.labelled.split or ""


@dataclass(frozen=True)
class Found:
    """One page of a search.

    Attributes:
        clips: of the page.
        total: number of clips that were found.
        page, pages: number of the page, from 0, and how many there are.
        labels, splits: of all clips, with numbers of clips.
        damaged: number of files that cannot be read.
        read: number of files read so far.
        is_reading: whether the cache is still being read.
    """

    clips: tuple[CachedClip, ...]
    total: int
    page: int
    pages: int
    labels: Mapping[str, int]
    splits: Mapping[str, int]
    damaged: int
    read: int
    is_reading: bool


@dataclass(frozen=True)
class _Overview:
    """All clips by source, and what they have in common, as of a version."""

    version: int
    made: float
    clips: tuple[CachedClip, ...]
    labels: Mapping[str, int]
    splits: Mapping[str, int]
    files: int


class CacheIndex:
    """The headers of a cache, which a thread reads once, and later those of changed files.

    Raises:
        CacheError: if the cache is in a store.
    """

    def __init__(self, cache: PoseCache) -> None:
        cache.local_root(_PURPOSE)
        self._cache = cache
        self._lock = threading.Lock()
        self._reading: threading.Thread | None = None
        self._closed = False
        self._clips: dict[str, CachedClip] = {}
        self._damaged: dict[Path, _FileState] = {}
        self._version = 0
        self._overview = _Overview(0, 0.0, (), {}, {}, 0)

    @property
    def is_reading(self) -> bool:
        """Whether the cache is still being read."""
        return self._reading is not None and self._reading.is_alive()

    def refresh(self) -> None:
        """Begin to read what is new, changed or gone since the last time; does nothing while that goes on."""
        with self._lock:
            if not self.is_reading:
                self._reading = threading.Thread(target=self._read, name="skdpipe-cache", daemon=True)
                self._reading.start()

    def wait(self) -> None:
        """Wait until everything is read."""
        if self._reading is not None:
            self._reading.join()

    def close(self) -> None:
        """End the reading."""
        self._closed = True

    def find(
        self, text: str = "", label: str | None = None, split: str | None = None, page: int = 0
    ) -> Found:
        """Search the clips that are read so far.

        Args:
            text: in source, label, subject or key, in any case.
            label, split: exactly; empty for clips without, None for all.
            page: from 0.
        """
        is_reading = self.is_reading
        overview, wanted = self._look_over(is_reading), text.lower()
        chosen: Sequence[CachedClip] = overview.clips
        if wanted:
            chosen = [clip for clip in chosen if wanted in clip.text]
        if label is not None:
            chosen = [clip for clip in chosen if clip.label == label]
        if split is not None:
            chosen = [clip for clip in chosen if clip.split == split]
        pages = max(1, -(-len(chosen) // _PAGE))
        page = min(max(0, page), pages - 1)
        return Found(
            tuple(chosen[page * _PAGE : (page + 1) * _PAGE]),
            len(chosen),
            page,
            pages,
            overview.labels,
            overview.splits,
            len(self._damaged),
            overview.files,
            is_reading,
        )

    def clip(self, key: str) -> CachedClip | None:
        """The clip with a key, its files as they are now; None if there is none."""
        known = self._clips.get(key)
        for each in known.files if known else ():
            self._update(each.path, _state_of(each.path))
        return self._clips.get(key)

    def _look_over(self, is_reading: bool) -> _Overview:
        """The overview; while the cache is being read, a recent one is good enough."""
        with self._lock:
            before, now = self._overview, time.monotonic()
            if before.version == self._version or (is_reading and now - before.made < _FRESH):
                return before
            clips = sorted(self._clips.values(), key=lambda clip: (clip.labelled.source, clip.key))
            self._overview = _Overview(
                self._version,
                now,
                tuple(clips),
                dict(sorted(Counter(clip.label for clip in clips).items())),
                dict(sorted(Counter(clip.split for clip in clips).items())),
                sum(len(clip.files) for clip in clips),
            )
            return self._overview

    def _read(self) -> None:
        present: set[Path] = set()
        for quality in _QUALITIES:
            with suppress(CacheError, OSError):
                for folder in self._cache.local_folders(_PURPOSE, quality):
                    present |= self._read_folder(folder)
        if not self._closed:
            known = [each.path for clip in list(self._clips.values()) for each in clip.files]
            for path in {*known, *list(self._damaged)} - present:
                self._update(path, None)

    def _read_folder(self, folder: Path) -> set[Path]:
        present = set()
        with os.scandir(folder) as entries:
            for each in entries:
                if self._closed:
                    break
                if is_entry(each.name):
                    path, status = folder / each.name, each.stat()
                    present.add(path)
                    self._update(path, (status.st_size, status.st_mtime_ns))
        return present

    def _update(self, path: Path, state: _FileState | None) -> None:
        """Read a file unless it is known in this state; None: it is gone."""
        key = path.stem
        if state is not None and state == self._known_state(path):
            return
        stored = None
        if state is not None:
            with suppress(SkdpipeError):
                stored = _stored_of(path, self._cache.describe(path), state)
        with self._lock:
            self._version += 1
            before = self._clips.get(key)
            files = [each for each in before.files if each.path != path] if before else []
            self._damaged.pop(path, None)
            if stored is not None:
                files.append(stored)
            elif state is not None:
                self._damaged[path] = state
            if files:
                self._clips[key] = _clip_of(key, files)
            else:
                self._clips.pop(key, None)

    def _known_state(self, path: Path) -> _FileState | None:
        clip = self._clips.get(path.stem)
        states = [each.state for each in clip.files if each.path == path] if clip else []
        return states[0] if states else self._damaged.get(path)


def _stored_of(path: Path, entry: Entry, state: _FileState) -> Stored:
    quality, settings, origin = path.parent.parent.name, path.parent.name, entry.origin
    return Stored(
        path,
        "high" if quality == "high" else "low",
        sys.intern(settings),
        origin.source,
        origin.label and sys.intern(origin.label),
        origin.split and sys.intern(origin.split),
        origin.subject and sys.intern(origin.subject),
        origin.corrected,
        entry.frames,
        entry.video_frames / entry.fps,
        state,
    )


def _clip_of(key: str, files: Iterable[Stored]) -> CachedClip:
    ordered = tuple(sorted(files, key=lambda each: (each.quality, each.settings)))
    shown = next((each for each in ordered if each.label), ordered[0])
    text = "\n".join(filter(None, (shown.source, shown.label, shown.subject, key)))
    return CachedClip(key, ordered, shown, text.lower())


def _state_of(path: Path) -> _FileState | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
