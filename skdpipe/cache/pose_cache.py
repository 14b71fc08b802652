"""The folder of the pose cache.

    root/<quality>/<settings>/<video key>.safetensors

``quality`` is high or low, ``settings`` stands for the estimator and its sampling, and the key is a digest of
the video's content.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, get_args

from skdpipe.atomic_file import holding_lock, remove_leftovers
from skdpipe.cache.sequence_file import Entry, Quality, read_entry, read_sequence, write_sequence
from skdpipe.errors import CacheError, CacheWriteError, DataError
from skdpipe.skeleton import Origin, PoseSequence

LABELS_LOCK: Final = "labels.lock"
"""Name of the file in the root that a process locks while it changes labels."""

_SUFFIX: Final = ".safetensors"
_KEY: Final = r"[0-9a-f]+"


def settings_slug(prefix: str, description: str) -> str:
    """A folder name: a readable prefix and eight hexadecimal digits of the description's digest."""
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", prefix).strip("-._") or "settings"
    return f"{readable}-{hashlib.sha256(description.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class PoseCache:
    """The pose sequences in a root folder.

    Files appear complete or not at all. Any number of processes may write at the same time, and any of them
    may be killed. If several write the same file, the last one wins.
    """

    root: Path

    def path_of(self, quality: Quality, settings: str, key: str) -> Path:
        """Path of a sequence, which need not exist.

        Raises:
            CacheError: if a part cannot be used as a file name.
        """
        _require_quality(quality)
        _require(r"[A-Za-z0-9][A-Za-z0-9._-]*", settings, "settings", "a name of letters, digits and . _ -")
        _require(_KEY, key, "video key", "a lower-case hexadecimal digest")
        return Path(self.root) / quality / settings / f"{key}{_SUFFIX}"

    def has(self, quality: Quality, settings: str, key: str) -> bool:
        """Whether the cache contains a sequence. A damaged file counts as missing.

        Only the header is read; its lengths are checked against the length of the file.
        """
        try:
            self.describe(self.path_of(quality, settings, key))
        except CacheError:
            return False
        return True

    def save(self, sequence: PoseSequence, quality: Quality, settings: str) -> Path:
        """Write a sequence to the path of its origin's key; an existing file is replaced.

        Raises:
            DataError: if the sequence is not plausible (`skdpipe.skeleton.plausible.require_plausible`).
            CacheError: if the key is not a digest, the file cannot be written (`CacheWriteError`: none can),
                or a later version of skdpipe wrote it (`NewerVersionError`).
        """
        path = self.path_of(quality, settings, sequence.origin.key)
        write_sequence(path, sequence, quality, settings)
        return path

    def load(self, path: Path) -> PoseSequence:
        """Read a sequence, bit for bit as it was saved.

        Raises:
            CacheError: if the file is missing or damaged, or a later version of skdpipe wrote it
                (`NewerVersionError`).
        """
        return read_sequence(path)

    def describe(self, path: Path) -> Entry:
        """Read the header of a file, without its keypoints.

        Raises:
            CacheError: as `load`.
        """
        return read_entry(path)

    def entries(
        self, quality: Quality | None = None, settings: str | None = None, *, skip_damaged: bool = False
    ) -> Iterator[Entry]:
        """Headers of all sequences, or of those of one quality and settings, sorted by path.

        Raises:
            CacheError: at the first damaged file, unless these are skipped; delete it or extract its video
                again.
        """
        for folder in self.folders(quality):
            if settings in (None, folder.name):
                for path in self.files_in(folder):
                    with suppress(CacheError) if skip_damaged else nullcontext():
                        yield self.describe(path)

    def files_in(self, folder: Path) -> Iterator[Path]:
        """Paths of all sequences in a settings folder, sorted, whether they can be used or not.

        Raises:
            CacheError: if the folder cannot be read.
        """
        return (folder / name for name in names_in(folder) if is_entry(name))

    def settings_of(self, quality: Quality) -> tuple[str, ...]:
        """Names of the settings folders of a quality, sorted."""
        return tuple(folder.name for folder in self.folders(quality))

    def choose_settings(self, quality: Quality, wanted: str = "") -> str:
        """The settings folder with the given name, or the only folder if no name is given.

        Raises:
            DataError: if there is no such folder, or if no name is given and there is not exactly one folder.
        """
        found = self.settings_of(quality)
        listed = ", ".join(found) or "none"
        if wanted:
            if wanted not in found:
                raise DataError(f"{self.root} has no {quality} settings '{wanted}'; found {listed}")
            return wanted
        if len(found) != 1:
            hint = f"choose one with --set {quality}=NAME" if found else "run `skdpipe extract` first"
            raise DataError(f"{self.root} has {len(found)} {quality} settings ({listed}); {hint}")
        return found[0]

    def folders_named(self, name: str) -> list[Path]:
        """The settings folders of a name, in both qualities, or the one that ``high/NAME`` stands for.

        Raises:
            DataError: if there is none.
            CacheError: if the folders cannot be listed.
        """
        folders = {folder: f"{folder.parent.name}/{folder.name}" for folder in self.folders()}
        named = [folder for folder, full in folders.items() if name in (folder.name, full)]
        if not named:
            listed = ", ".join(folders.values()) or "none"
            raise DataError(f"{self.root} has no settings folder '{name:.100}'; found {listed}")
        return named

    def all_keys(self, folders: Iterable[Path] | None = None) -> set[str]:
        """The keys of all clips in the settings folders, by the names of the files.

        Raises:
            CacheError: if a folder cannot be read.
        """
        return {
            name.removesuffix(_SUFFIX)
            for folder in (self.folders() if folders is None else folders)
            for name in names_in(folder)
            if is_entry(name) and re.fullmatch(_KEY, name.removesuffix(_SUFFIX))
        }

    def paths_of(self, key: str, folders: Iterable[Path] | None = None) -> Iterator[Path]:
        """Paths of all sequences of a clip, of both qualities and all settings.

        Args:
            key: of the clip.
            folders: the settings folders that are searched; by default `folders`.

        Raises:
            CacheError: if the key is no digest, or a folder cannot be read.
        """
        _require(_KEY, key, "video key", "a lower-case hexadecimal digest")
        for folder in self.folders() if folders is None else folders:
            path = folder / f"{key}{_SUFFIX}"
            if path.is_file():
                yield path

    def with_corrections(self, origin: Origin, entries: Iterable[Entry] = ()) -> Origin:
        """The origin with the labels of its video that were corrected by hand, in any settings.

        Args:
            origin: of the video.
            entries: headers of its sequences that were read already; the others are read.

        Raises:
            CacheError: as `paths_of`.
        """
        read = {entry.path: entry for entry in entries}
        for path in self.paths_of(origin.key):
            with suppress(CacheError):
                origin = origin.with_corrections_of((read.get(path) or self.describe(path)).origin)
        return origin

    @contextmanager
    def changing_labels(self) -> Iterator[None]:
        """Hold the lock of the labels during the block, in which those of one video are read and written.

        Raises:
            CacheWriteError: if nothing can be written to the cache.
        """
        path = Path(self.root) / LABELS_LOCK
        with ExitStack() as stack:
            try:
                stack.enter_context(holding_lock(path))
            except OSError as error:
                raise CacheWriteError(
                    f"cannot write {path} ({error.strerror}); choose another folder"
                ) from error
            yield

    def relabel(self, path: Path, origin: Origin) -> Entry:
        """Change source, label, split and subject of a file; the keypoints do not change.

        If other processes may do the same, it is to be called within `changing_labels`.

        Raises:
            CacheError: if the origin has another video key or estimator, or as `load` and `save`.
        """
        entry = self.describe(path)
        if entry.origin == origin:
            return entry
        if (entry.origin.key, entry.origin.estimator) != (origin.key, origin.estimator):
            raise CacheError(
                f"{path} contains video {entry.origin.key} by {entry.origin.estimator}, and the new labels "
                f"are for {origin.key} by {origin.estimator}; relabel the file of that video"
            )
        write_sequence(path, replace(self.load(path), origin=origin), entry.quality, entry.settings)
        return self.describe(path)

    def remove_leftovers(self) -> int:
        """Delete the unfinished files of processes that no longer exist.

        Returns:
            Number of files deleted.
        """
        return sum(map(remove_leftovers, self.folders(None)))

    def folders(self, quality: Quality | None = None) -> list[Path]:
        """The settings folders of a quality, or of both, sorted.

        Raises:
            CacheError: if they cannot be listed.
        """
        if quality is not None:
            _require_quality(quality)
        roots = [Path(self.root) / name for name in ([quality] if quality else sorted(get_args(Quality)))]
        try:
            return [
                folder
                for root in roots
                if root.is_dir()
                for folder in sorted(root.iterdir())
                if folder.is_dir()
            ]
        except OSError as error:
            raise _unreadable(error.filename, error) from error


def names_in(folder: Path) -> list[str]:
    """The names of what is in a settings folder, sorted.

    Raises:
        CacheError: if it cannot be read.
    """
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  # of hundreds of thousands
    except OSError as error:
        raise _unreadable(folder, error) from error


def is_entry(name: str) -> bool:
    """Whether a file of this name in a settings folder is one of a sequence."""
    return name.endswith(_SUFFIX) and not name.startswith(".")


def _unreadable(folder: Path | str, error: OSError) -> CacheError:
    return CacheError(
        f"{folder} cannot be read ({error.strerror}); change its permissions, or choose another cache"
    )


def _require(pattern: str, text: str, what: str, expected: str) -> None:
    if not re.fullmatch(pattern, text):
        raise CacheError(f"{what} {text!r} cannot be used as a file name; expected {expected}")


def _require_quality(quality: str) -> None:
    if quality not in get_args(Quality):
        raise CacheError(f"quality {quality!r} is unknown; expected one of {', '.join(get_args(Quality))}")
