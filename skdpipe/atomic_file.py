"""Atomic and durable writing: a file appears complete or not at all, also after a power failure.

A file is written under a hidden name beside its target, synced, and renamed; then its folder is synced. While
it is written, its process holds a lock on it: `remove_leftovers` recognises by the lock what a process that
was killed has left behind.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Final

_PREFIX: Final = ".skdpipe-"
PARTIAL_SUFFIX: Final = ".part"
"""Suffix of unfinished files, which are hidden files beside their target."""

# Unfinished files of earlier versions and of safetensors' own `save_file`, which hold no lock.
_WITHOUT_LOCK: Final = re.compile(r"\..+-\d+-[0-9a-f]{8}\.part|\.tmp[A-Za-z0-9]{6}")
_OLD: Final = 86_400.0  # seconds without a change after which a file without a lock is a leftover


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path``, renamed to it when the block succeeds and deleted when it fails.

    The folder is created if it does not exist.

    Raises:
        OSError: if the file cannot be written; its ``filename`` is ``path``.
    """
    part = path.parent / hidden_name()
    try:
        _create_folder(path.parent)
        with _locked(part):
            try:
                yield part
                _sync(part)
                part.replace(path)
                _sync(path.parent)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None or error.filename not in (None, part, str(part)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path``, renamed to it when the block succeeds and deleted when it fails.

    A folder at ``path`` is replaced; a process that is killed at that moment leaves none. What killed
    processes have left behind beside it is deleted.

    Raises:
        OSError: if something cannot be written; its ``filename`` is below ``path``.
    """
    place = path.resolve()  # a link stays one
    part, old = (place.parent / hidden_name() for _ in range(2))
    try:
        _create_folder(place.parent)
        _remove_abandoned_folders(place.parent)
        with _locked(part, folder=True):
            try:
                yield part
                for each in [*part.rglob("*"), part]:
                    _sync(each)
                _replace_folder(part, place, old)
                _sync(place.parent)
            finally:
                shutil.rmtree(part, ignore_errors=True)
                shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        named = Path(os.fsdecode(error.filename or part))
        if error.errno is None or not named.is_relative_to(part):
            raise
        raise OSError(error.errno, error.strerror, str(path / named.relative_to(part))) from error


def _replace_folder(part: Path, place: Path, old: Path) -> None:
    """Rename a folder to its place; one that is there is first renamed."""
    if place.exists():
        place.rename(old)
    try:
        part.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of this user for temporary files, deleted after the block.

    Those that killed processes have left behind are deleted.

    Raises:
        OSError: if it cannot be created.
    """
    parent = Path(tempfile.gettempdir())
    _remove_abandoned_folders(parent)
    folder = parent / hidden_name()
    with _locked(folder, folder=True):
        try:
            folder.chmod(0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def write_bytes_atomically(path: Path, *content: bytes | memoryview) -> None:
    """Write the parts of a file, or leave the old one as it is.

    Raises:
        OSError: as `atomic_path`.
    """
    with open_atomically(path) as file:
        for part in content:
            file.write(part)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 file, or leave the old one as it is.

    Raises:
        OSError: as `atomic_path`.
    """
    write_bytes_atomically(path, text.encode())


@contextmanager
def open_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A binary file for writing and reading, renamed to ``path`` when the block succeeds.

    Raises:
        OSError: as `atomic_path`.
    """
    with atomic_path(path) as part, part.open("w+b") as file:
        yield file


def remove_leftovers(folder: Path) -> int:
    """Delete the unfinished files in a folder whose process no longer exists (`find_leftovers`).

    What cannot be deleted, stays.

    Returns:
        Number of files deleted.
    """
    removed = 0
    for path in find_leftovers(folder):
        with suppress(OSError):  # another process may have deleted it meanwhile
            path.unlink()
            removed += 1
    return removed


def find_leftovers(folder: Path) -> Iterator[Path]:
    """The unfinished files in a folder whose process no longer exists.

    Files without a lock, which earlier versions and other libraries leave behind, are found a day after their
    last change. Subfolders are not searched.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # another process may have finished the file meanwhile
                if _is_abandoned(entry):
                    yield Path(entry)


def hidden_name() -> str:
    """A new name of an unfinished file."""
    return f"{_PREFIX}{uuid.uuid4().hex}{PARTIAL_SUFFIX}"


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is unfinished; its process may be running."""
    return _has_lock(name) or _WITHOUT_LOCK.fullmatch(name) is not None


def _has_lock(name: str) -> bool:
    return name.startswith(_PREFIX) and name.endswith(PARTIAL_SUFFIX)


def _remove_abandoned_folders(folder: Path) -> None:
    for each in folder.glob(f"{_PREFIX}*{PARTIAL_SUFFIX}/"):
        with suppress(OSError):  # another process may have finished it meanwhile
            if _is_free(each, os.O_RDONLY):
                shutil.rmtree(each)


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    if not is_unfinished(entry.name) or not entry.is_file(follow_symlinks=False):
        return False
    return _is_free(Path(entry), os.O_RDWR) if _has_lock(entry.name) else _is_old(Path(entry))


def _is_free(path: Path, flags: int) -> bool:
    """Whether no process holds the lock of a file or folder."""
    if sys.platform == "win32":
        return _is_old(path)
    descriptor = os.open(path, flags)
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _OLD


@contextmanager
def holding_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file during the block, after other processes and threads that hold it.

    The file is created with its folder, and stays. On Windows and on a file system without locks nothing is
    locked.

    Raises:
        OSError: if the file cannot be created.
    """
    _create_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    except PermissionError:  # another user's file
        descriptor = os.open(path, os.O_RDONLY)
    try:
        if sys.platform != "win32":
            _lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def marking(folder: Path) -> Iterator[Path]:
    """An empty hidden file in a folder during the block; the folder is created.

    That of a killed process is deleted by `remove_leftovers`.

    Raises:
        OSError: if the file cannot be created.
    """
    mark = folder / hidden_name()
    _create_folder(folder)
    with _locked(mark):
        mark.touch()
        try:
            yield mark
        finally:
            mark.unlink(missing_ok=True)


@contextmanager
def _locked(part: Path, *, folder: bool = False) -> Iterator[None]:
    """Create a file or a folder and hold its lock during the block."""
    if sys.platform == "win32":  # an open file cannot be renamed there, and a folder not be opened
        if folder:
            part.mkdir()
        yield
        return
    flags = os.O_RDONLY if folder else os.O_CREAT | os.O_EXCL | os.O_RDWR
    while True:
        if folder:
            part.mkdir()
        with suppress(FileNotFoundError) if folder else nullcontext():
            descriptor = os.open(part, flags, 0o666)
            _lock(descriptor, wait=True)
            if part.exists():  # otherwise another process deleted it before it had the lock
                break
            os.close(descriptor)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock a file until the descriptor is closed; False if another process holds the lock."""
    import fcntl  # not on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # also a file system without locks, on which leftovers stay
        return False
    return True


def _create_folder(folder: Path) -> None:
    """Create a folder with its parents; each of them is synced."""
    if folder.is_dir():
        return
    _create_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of files, is on the disk."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():  # a file system that does not sync folders
            raise
    finally:
        os.close(descriptor)
