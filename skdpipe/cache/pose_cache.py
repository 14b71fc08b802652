"""The folder of the pose cache.

    root/<quality>/<settings>/<video key>.safetensors

``quality`` is high or low, ``settings`` stands for the estimator and its sampling, and the key is a digest of
the video's content. The root is a folder of this machine or of a store, such as ``s3://bucket/cache``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, get_args

from skdpipe.atomic_file import remove_leftovers
from skdpipe.cache.sequence_file import (
    Entry,
    Quality,
    missing,
    read_entry,
    read_sequence,
    unreadable,
    write_sequence,
)
from skdpipe.errors import CacheError, CacheReadError, CacheWriteError, DataError
from skdpipe.skeleton import Origin, PoseSequence
from skdpipe.storage import (
    Place,
    Start,
    State,
    folders_in,
    is_file,
    is_local,
    lock_of,
    names_in,
    place_of,
    read_starts,
    states_in,
)

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

    Attributes:
        root: the folder; the address of one as text becomes a place (`skdpipe.place_of`).
    """

    root: Place
    _listed: Mapping[Place, Mapping[str, State]] | None = field(default=None, repr=False, compare=False)
    _ahead: dict[Place, Start] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", place_of(self.root))

    def as_listed(self) -> PoseCache:
        """For a store: the cache that knows the names of its files now, and makes no requests for others.

        Raises:
            CacheError: if a folder cannot be read.
        """
        if is_local(self.root):
            return self
        listed = {folder: self.states_in(folder) for folder in self.folders()}
        return replace(self, _listed=listed, _ahead={})

    def read_ahead(self, keys: Collection[str]) -> None:
        """Read the headers of all sequences of some clips at once, for `describe`; only if `as_listed`."""
        self._ahead.clear()
        for folder, states in (self._listed or {}).items():
            names = [name for key in keys if (name := f"{key}{_SUFFIX}") in states]
            with _reading(folder):
                for name, start in read_starts(folder, [(name, states[name]) for name in names], len(names)):
                    if isinstance(start, Start):
                        self._ahead[folder / name] = start

    def local_root(self, purpose: str) -> Path:
        """The root, for what can only be done in a folder of this machine.

        Args:
            purpose: what that is, for the message.

        Raises:
            CacheError: if the root is in a store.
        """
        if not isinstance(self.root, Path):
            raise CacheError(
                f"{self.root} is in a store; expected a folder of this machine for {purpose}: copy the cache "
                "to one, and copy it back afterwards"
            )
        return self.root

    def local_folders(self, purpose: str, quality: Quality | None = None) -> list[Path]:
        """As `folders`, in a folder of this machine.

        Raises:
            CacheError: as `local_root`, or if they cannot be listed.
        """
        root = self.local_root(purpose)
        return [root / each.parent.name / each.name for each in self.folders(quality)]

    def path_of(self, quality: Quality, settings: str, key: str) -> Place:
        """Path of a sequence, which need not exist.

        Raises:
            CacheError: if a part cannot be used as a file name.
        """
        _require_quality(quality)
        _require(r"[A-Za-z0-9][A-Za-z0-9._-]*", settings, "settings", "a name of letters, digits and . _ -")
        _require(_KEY, key, "video key", "a lower-case hexadecimal digest")
        return self.root / quality / settings / f"{key}{_SUFFIX}"

    def has(self, quality: Quality, settings: str, key: str) -> bool:
        """Whether the cache contains a sequence. A damaged file counts as missing.

        Only the header is read; its lengths are checked against the length of the file.

        Raises:
            CacheReadError: if a store cannot be read.
        """
        try:
            self.describe(self.path_of(quality, settings, key))
        except CacheReadError:
            raise
        except CacheError:
            return False
        return True

    def save(self, sequence: PoseSequence, quality: Quality, settings: str) -> Place:
        """Write a sequence to the path of its origin's key; an existing file is replaced.

        Raises:
            DataError: if the sequence is not plausible (`skdpipe.skeleton.plausible.require_plausible`).
            CacheError: if the key is not a digest, the file cannot be written (`CacheWriteError`: none can),
                or a later version of skdpipe wrote it (`NewerVersionError`).
        """
        path = self.path_of(quality, settings, sequence.origin.key)
        write_sequence(path, sequence, quality, settings)
        return path

    def load(self, path: Place) -> PoseSequence:
        """Read a sequence, bit for bit as it was saved.

        Raises:
            CacheError: if the file is missing or damaged, a later version of skdpipe wrote it
                (`NewerVersionError`), or a store cannot be read (`CacheReadError`).
        """
        return read_sequence(path)

    def describe(self, path: Place) -> Entry:
        """Read the header of a file, without its keypoints.

        Raises:
            CacheError: as `load`.
        """
        if self._listed is None:
            return read_entry(path)
        if (known := self._ahead.pop(path, None)) is not None:
            return read_entry(path, known)
        state = self._listed.get(path.parent, {}).get(path.name)
        if state is None:
            raise missing(path)
        _, start = next(read_starts(path.parent, [(path.name, state)]))
        return read_entry(path, start if isinstance(start, Start) else None)

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
                for path, start in self.starts_in(folder):
                    try:
                        entry = read_entry(path, start)
                    except CacheReadError:
                        raise
                    except CacheError:
                        if not skip_damaged:
                            raise
                    else:
                        yield entry

    def files_in(self, folder: Place) -> Iterator[Place]:
        """Paths of all sequences in a settings folder, sorted, whether they can be used or not.

        Raises:
            CacheError: if the folder cannot be read.
        """
        return (folder / name for name in names_of(folder) if is_entry(name))

    def states_in(self, folder: Place) -> dict[str, State]:
        """Size and change of each file in a settings folder, by name, sorted.

        Raises:
            CacheError: if the folder cannot be read.
        """
        with _reading(folder):
            return states_in(folder)

    def starts_in(self, folder: Place) -> Iterator[tuple[Place, Start | None]]:
        """As `files_in`, with the first bytes of each file of a store, which are read for many at once.

        Raises:
            CacheError: if the folder cannot be read.
        """
        if is_local(folder):
            for path in self.files_in(folder):
                yield path, None
            return
        states = [(name, state) for name, state in self.states_in(folder).items() if is_entry(name)]
        with _reading(folder):
            for name, start in read_starts(folder, states):
                if not isinstance(start, FileNotFoundError):  # deleted meanwhile
                    yield folder / name, None if isinstance(start, OSError) else start

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

    def folders_named(self, name: str) -> list[Place]:
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

    def all_keys(self, folders: Iterable[Place] | None = None) -> set[str]:
        """The keys of all clips in the settings folders, by the names of the files.

        Raises:
            CacheError: if a folder cannot be read.
        """
        return {
            name.removesuffix(_SUFFIX)
            for folder in (self.folders() if folders is None else folders)
            for name in names_of(folder)
            if is_entry(name) and re.fullmatch(_KEY, name.removesuffix(_SUFFIX))
        }

    def paths_of(self, key: str, folders: Iterable[Place] | None = None) -> Iterator[Place]:
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
            if self._listed is not None:
                found = path.name in self._listed.get(folder, {})
            else:
                with _reading(folder):
                    found = is_file(path)
            if found:
                yield path

    def with_corrections(self, origin: Origin, entries: Iterable[Entry] = ()) -> Origin:
        """The origin with the labels of its video that were corrected by hand, in any settings.

        Args:
            origin: of the video.
            entries: headers of its sequences that were read already; the others are read.

        Raises:
            CacheError: as `paths_of`.
        """
        _require(_KEY, origin.key, "video key", "a lower-case hexadecimal digest")
        read = {entry.path: entry for entry in entries}
        for folder in self.folders():
            path = folder / f"{origin.key}{_SUFFIX}"
            try:
                origin = origin.with_corrections_of((read.get(path) or self.describe(path)).origin)
            except CacheReadError:
                raise
            except CacheError:  # missing or damaged
                pass
        return origin

    @contextmanager
    def changing_labels(self) -> Iterator[None]:
        """Hold the lock of the labels during the block, in which those of one video are read and written.

        A store has no locks: of two processes that change the labels of one video there at the same time,
        one may undo what the other did.

        Raises:
            CacheWriteError: if nothing can be written to the cache.
        """
        path = self.root / LABELS_LOCK
        with ExitStack() as stack:
            try:
                stack.enter_context(lock_of(path))
            except OSError as error:
                raise CacheWriteError(
                    f"cannot write {path} ({error.strerror}); choose another folder"
                ) from error
            yield

    def relabel(self, path: Place, origin: Origin) -> Entry:
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
        folders = (self.root, *self.folders())
        return sum(remove_leftovers(each) for each in folders if isinstance(each, Path))

    def folders(self, quality: Quality | None = None) -> list[Place]:
        """The settings folders of a quality, or of both, sorted.

        Raises:
            CacheError: if they cannot be listed.
        """
        if quality is not None:
            _require_quality(quality)
        if self._listed is not None:
            return [each for each in self._listed if quality in (None, each.parent.name)]
        found = list[Place]()
        for name in [quality] if quality else sorted(get_args(Quality)):
            with _reading(self.root / name):
                found += folders_in(self.root / name)
        return found


def names_of(folder: Place) -> list[str]:
    """The names of what is in a settings folder, sorted.

    Raises:
        CacheError: if it cannot be read.
    """
    with _reading(folder):
        return names_in(folder)


def is_entry(name: str) -> bool:
    """Whether a file of this name in a settings folder is one of a sequence."""
    return name.endswith(_SUFFIX) and not name.startswith(".")


@contextmanager
def _reading(folder: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not is_local(folder):
            raise unreadable(folder, error) from error
        raise CacheError(
            f"{folder} cannot be read ({error.strerror}); change its permissions, or choose another cache"
        ) from error


def _require(pattern: str, text: str, what: str, expected: str) -> None:
    if not re.fullmatch(pattern, text):
        raise CacheError(f"{what} {text!r} cannot be used as a file name; expected {expected}")


def _require_quality(quality: str) -> None:
    if quality not in get_args(Quality):
        raise CacheError(f"quality {quality!r} is unknown; expected one of {', '.join(get_args(Quality))}")
