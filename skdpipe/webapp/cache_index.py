"""The clips of the pose cache, found by label, split and text."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from skdpipe.cache import Entry, PoseCache, Quality
from skdpipe.errors import CacheError, SkdpipeError
from skdpipe.skeleton import Origin

_PAGE: Final = 50
_SUFFIX: Final = ".safetensors"
_QUALITIES: Final[tuple[Quality, ...]] = ("high", "low")

_FileState = tuple[int, int]


@dataclass(frozen=True)
class Stored:
    """One file of the cache: a clip in one quality.

    Attributes:
        path: the file.
        quality, settings: the folders that it is in.
        origin: source and labels.
        frames, people: lengths of its axes.
        seconds: length of the clip.
        state: of the file, which changes with its content.
    """

    path: Path
    quality: Quality
    settings: str
    origin: Origin
    frames: int
    people: int
    seconds: float
    state: _FileState


@dataclass(frozen=True)
class CachedClip:
    """A clip of the cache in all qualities and settings, the high ones first."""

    key: str
    files: tuple[Stored, ...]

    @property
    def origin(self) -> Origin:
        """Source and labels: those of the first file that states a label."""
        return next((each.origin for each in self.files if each.origin.label), self.files[0].origin)


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


class CacheIndex:
    """The headers of a cache, which a thread reads once, and later those of changed files."""

    def __init__(self, cache: PoseCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._reading: threading.Thread | None = None
        self._closed = False
        self._clips: dict[str, dict[Path, Stored]] = {}
        self._damaged: dict[Path, _FileState] = {}

    def refresh(self) -> None:
        """Begin to read what is new, changed or gone since the last time; does nothing while that goes on."""
        with self._lock:
            if self._reading is None or not self._reading.is_alive():
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
        clips = self._snapshot()
        origins = [(clip.origin, clip) for clip in clips]
        wanted = text.lower()
        chosen = [
            clip
            for origin, clip in origins
            if label in (None, origin.label or "")
            and split in (None, origin.split or "")
            and wanted in f"{origin.source}\n{origin.label}\n{origin.subject}\n{clip.key}".lower()
        ]
        chosen.sort(key=lambda clip: (clip.files[0].origin.source, clip.key))
        pages = max(1, -(-len(chosen) // _PAGE))
        page = min(max(0, page), pages - 1)
        with self._lock:
            is_reading = self._reading is not None and self._reading.is_alive()
        return Found(
            tuple(chosen[page * _PAGE : (page + 1) * _PAGE]),
            len(chosen),
            page,
            pages,
            _counted(origin.label for origin, _ in origins),
            _counted(origin.split for origin, _ in origins),
            len(self._damaged),
            sum(len(clip.files) for clip in clips),
            is_reading,
        )

    def clip(self, key: str) -> CachedClip | None:
        """The clip with a key, its files as they are now; None if there is none."""
        with self._lock:
            known = list(self._clips.get(key, {}))
        for path in known:
            self._update(path.parent, path.name, _state_of(path))
        with self._lock:
            files = self._clips.get(key)
            return _clip_of(key, files) if files else None

    def _snapshot(self) -> list[CachedClip]:
        with self._lock:
            return [_clip_of(key, files) for key, files in self._clips.items() if files]

    def _read(self) -> None:
        present: set[Path] = set()
        for quality in _QUALITIES:
            try:
                names = self._cache.settings_of(quality)
            except CacheError:
                continue
            for settings in names:
                present |= self._read_folder(self._cache.root / quality / settings)
        with self._lock:
            for files in self._clips.values():
                for path in [each for each in files if each not in present]:
                    del files[path]
            for path in [each for each in self._damaged if each not in present]:
                del self._damaged[path]

    def _read_folder(self, folder: Path) -> set[Path]:
        present = set()
        try:
            with os.scandir(folder) as entries:
                for each in entries:
                    if self._closed:
                        break
                    if each.name.endswith(_SUFFIX) and not each.name.startswith("."):
                        status = each.stat()
                        present.add(folder / each.name)
                        self._update(folder, each.name, (status.st_size, status.st_mtime_ns))
        except OSError:
            pass
        return present

    def _update(self, folder: Path, name: str, state: _FileState | None) -> None:
        """Read a file unless it is known in this state; None: it is gone."""
        path, key = folder / name, name.removesuffix(_SUFFIX)
        with self._lock:
            files = self._clips.get(key, {})
            known = files[path].state if path in files else self._damaged.get(path)
        if known == state and state is not None:
            return
        stored = None
        if state is not None:
            try:
                stored = _stored_of(self._cache.describe(path), state)
            except SkdpipeError:
                with self._lock:
                    self._damaged[path] = state
        with self._lock:
            files = self._clips.setdefault(key, {})
            files.pop(path, None)
            if stored is not None:
                self._damaged.pop(path, None)
                files[path] = stored


def _stored_of(entry: Entry, state: _FileState) -> Stored:
    seconds = entry.video_frames / entry.fps
    quality, settings = entry.path.parent.parent.name, entry.path.parent.name
    assert quality in _QUALITIES
    return Stored(entry.path, quality, settings, entry.origin, entry.frames, entry.people, seconds, state)


def _clip_of(key: str, files: Mapping[Path, Stored]) -> CachedClip:
    ordered = sorted(files.values(), key=lambda each: (each.quality, each.settings))
    return CachedClip(key, tuple(ordered))


def _counted(values: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(value or "" for value in values).items()))


def _state_of(path: Path) -> _FileState | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
