"""Removing from a pose cache what is of no use: found first, and deleted only if that is wanted.

What a later version wrote, and files of other kinds, are never deleted. Nothing is deleted in a folder that a
link brings into the cache from outside. A file that another process has replaced since it was found stays.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skdpipe.atomic_file import find_leftovers
from skdpipe.cache.inventory import ESTIMATOR_FILE, verify_file
from skdpipe.cache.pose_cache import PoseCache, is_entry, names_of
from skdpipe.cache.sequence_file import read_entry
from skdpipe.errors import CacheError, CacheWriteError
from skdpipe.progress import Progress

Reason = Literal["leftover", "damaged", "orphan", "settings"]


@dataclass(frozen=True)
class Removal:
    """A file that is of no use.

    Attributes:
        path: the file.
        bytes: its size.
        reason: leftover: of a process that was killed; damaged: its content changed, or is incomplete;
            orphan: its video no longer exists; settings: in a folder that is to be removed.
        state: inode and modification time, by which a file that was replaced is recognised.
    """

    path: Path
    bytes: int
    reason: Reason
    state: tuple[int, int]


@dataclass(frozen=True)
class PruneReport:
    """What can be removed, or was removed.

    Attributes:
        removals: the files.
        kept: path and reason for each file or folder that stays although it is in the way.
    """

    removals: tuple[Removal, ...]
    kept: tuple[tuple[Path, str], ...]

    @property
    def bytes(self) -> int:
        """Size of the files."""
        return sum(removal.bytes for removal in self.removals)


def prune_cache(
    cache: PoseCache,
    *,
    damaged: bool = False,
    orphans: Collection[str] = (),
    settings: Sequence[str] = (),
    write: bool = False,
    progress: Progress | None = None,
) -> PruneReport:
    """Remove the leftovers of killed processes, and what else is named.

    Args:
        cache: the pose cache.
        damaged: also files whose checksum is wrong, or that cannot be used; every file is read in full.
        orphans: also the sequences of the clips with these keys (`skdpipe.find_orphans`).
        settings: also these settings folders: NAME, in both qualities, or high/NAME or low/NAME.
        write: if False, nothing is deleted, and the report says what would be.
        progress: shows the number of files.

    Raises:
        DataError: if there is no such settings folder.
        CacheError: if the cache is in a store, a folder cannot be read, or files cannot be deleted
            (`CacheWriteError`).
    """
    progress = progress or Progress(quiet=True)
    inside, kept = _inside(cache)
    named = {folder for name in settings for folder in cache.folders_named(name)}
    whole = {folder for folder in inside if folder in named}
    removals: dict[Path, Removal] = {}
    for folder in inside:
        for path in find_leftovers(folder):
            _add(removals, path, "leftover")
        paths = [folder / name for name in names_of(folder) if is_entry(name)]
        if folder in whole:
            for path in _removable(paths, kept, progress):
                _add(removals, path, "settings")
        else:
            for path in paths:
                if path.stem in orphans and _is_current(path, kept, key=path.stem):
                    _add(removals, path, "orphan")
            if damaged:
                for path in _damaged(paths, kept, progress):
                    _add(removals, path, "damaged")
    if write:
        removed = _delete(cache, list(removals.values()), kept, progress)
        for folder in sorted(whole):
            _remove_folder(folder, kept)
    else:
        removed = list(removals.values())
    return PruneReport(tuple(removed), tuple(kept))


def _inside(cache: PoseCache) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The settings folders within the root, and those that links bring into it."""
    inside, outside = [], []
    purpose = "pruning, which needs locks"
    root = cache.local_root(purpose).resolve()
    for folder in cache.local_folders(purpose):
        if folder.resolve() == root / folder.parent.name / folder.name:
            inside.append(folder)
        else:
            outside.append((folder, f"a link to {folder.resolve()}; nothing is deleted there"))
    return inside, outside


def _add(removals: dict[Path, Removal], path: Path, reason: Reason) -> None:
    with suppress(FileNotFoundError):  # deleted meanwhile
        status = path.lstat()
        removal = Removal(path, status.st_size, reason, (status.st_ino, status.st_mtime_ns))
        removals.setdefault(path, removal)


def _removable(paths: Sequence[Path], kept: list[tuple[Path, str]], progress: Progress) -> Iterator[Path]:
    """The sequences that this version could write again: not those of a later version."""
    with progress.task("looking up", len(paths), unit="files") as task:
        for number, path in enumerate(paths, 1):
            if _is_current(path, kept):
                yield path
            task.advance_to(number)


def _is_current(path: Path, kept: list[tuple[Path, str]], *, key: str = "") -> bool:
    """Whether a sequence is of this version, and of a clip if one is given, or damaged.

    Otherwise it is added to ``kept``.
    """
    try:
        found_key = read_entry(path).origin.key
        if key and found_key != key:
            kept.append((path, f"its content is that of clip {found_key:.40}"))
            return False
    except CacheError:
        found = verify_file(path)
        if found is not None and found.finding is not None and found.finding.kind != "damaged":
            kept.append((path, found.finding.text))
            return False
    return True


def _damaged(paths: Sequence[Path], kept: list[tuple[Path, str]], progress: Progress) -> Iterator[Path]:
    with progress.task("verifying", len(paths), unit="files") as task:
        for number, path in enumerate(paths, 1):
            found = verify_file(path)
            if found is not None and found.finding is not None:
                if found.finding.kind == "damaged":
                    yield path
                else:
                    kept.append((path, f"{found.finding.kind}: {found.finding.text}"))
            task.advance_to(number)


def _delete(
    cache: PoseCache, removals: Sequence[Removal], kept: list[tuple[Path, str]], progress: Progress
) -> list[Removal]:
    removed = []
    with progress.task("deleting", len(removals), unit="files") as task:
        for number, removal in enumerate(removals, 1):
            with cache.changing_labels():  # no other process replaces the file meanwhile
                try:
                    status = removal.path.lstat()
                    if (status.st_ino, status.st_mtime_ns) == removal.state:
                        removal.path.unlink()
                        removed.append(removal)
                    else:
                        kept.append((removal.path, "another process has replaced it"))
                except FileNotFoundError:
                    pass
                except OSError as error:
                    raise CacheWriteError(
                        f"cannot delete {removal.path} ({error.strerror}); change the folder's permissions"
                    ) from error
            task.advance_to(number)
    return removed


def _remove_folder(folder: Path, kept: list[tuple[Path, str]]) -> None:
    """Remove a settings folder that holds no more than the estimator's settings."""
    names = set(os.listdir(folder))  # noqa: PTH208
    if names - {ESTIMATOR_FILE}:
        kept.append((folder, f"it still holds {', '.join(sorted(names)[:3])}"))
        return
    try:
        (folder / ESTIMATOR_FILE).unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        kept.append((folder, f"cannot be removed ({error.strerror})"))
