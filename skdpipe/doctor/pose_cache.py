"""The pose cache: permissions, damaged entries, leftovers, and room for more files."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from skdpipe.doctor.setup import Check, Setup
from skdpipe.doctor.sizes import size
from skdpipe.finding import Finding, first_few

_SAMPLE: Final = 200  # entries
_FEW_FILES: Final = 10_000
_EACH: Final = 100  # entries between two signs of life


def check_folder(setup: Setup) -> Iterator[Finding]:
    """Whether the folder can be written, and files in it can be locked."""
    root = setup.cache
    remedy = "change its permissions, or choose another folder with --cache"
    if not root.exists():
        parent = next(each for each in root.absolute().parents if each.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding("folder", "note", f"{root} does not exist", "`skdpipe extract VIDEOS` creates it")
        else:
            yield Finding(
                "folder", "problem", f"{root} does not exist, and {parent} cannot be written", remedy
            )
        return
    if not root.is_dir():
        yield Finding("folder", "problem", f"{root} is not a folder", "choose another one with --cache")
        return
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(bytes(1))
            file.flush()
            can_lock = _can_lock(file.fileno())
    except OSError as error:
        yield Finding("folder", "problem", f"{root} cannot be written ({error.strerror})", remedy)
        return
    if can_lock:
        yield Finding("folder", "fine", f"{root} can be written, files can be locked")
    else:
        yield Finding(
            "folder",
            "warning",
            f"the file system of {root} has no locks: unfinished files of killed processes stay there",
            "mount it with locks (NFS: without nolock), or keep the cache on a local disk",
        )


def _can_lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def check_entries(setup: Setup) -> Iterator[Finding | None]:
    """Whether cached sequences are whole: a sample of them, or all."""
    from skdpipe.cache import PoseCache
    from skdpipe.cache.inventory import CacheFinding, verify_file

    cache = PoseCache(setup.cache)
    paths = [path for folder in cache.folders() for path in cache.files_in(folder)]
    if not paths:
        return
    chosen = paths if setup.thorough else paths[:: -(-len(paths) // _SAMPLE)]
    wrong, read = list[CacheFinding](), 0
    for number, path in enumerate(chosen):
        if number % _EACH == 0:
            yield None
        if (verified := verify_file(path)) is not None:
            read += verified.bytes
            if verified.finding is not None:
                wrong.append(verified.finding)
    part = (
        f"all {len(paths)} entries" if len(chosen) == len(paths) else f"{len(chosen)} of {len(paths)} entries"
    )
    text = f"{part} read in full, {size(read)}"
    if not wrong:
        yield Finding("entries", "fine", f"{text}: whole")
        return
    kinds = Counter(each.kind for each in wrong)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    examples = first_few([f"{each.path} ({each.text})" for each in wrong], 1)
    more = "`skdpipe cache verify` lists them all"
    yield Finding("entries", "problem", f"{text}: {counts}: {examples}", f"{wrong[0].remedy}; {more}")


def check_leftovers(setup: Setup) -> Iterator[Finding]:
    """What killed processes have left in the cache."""
    from skdpipe.atomic_file import find_leftovers
    from skdpipe.cache import PoseCache

    folders = PoseCache(setup.cache).local_folders("a diagnosis")
    found = [path for folder in folders for path in find_leftovers(folder)]
    if found:
        total = size(sum(path.stat().st_size for path in found))
        yield Finding(
            "leftovers",
            "note",
            f"{len(found)} unfinished files of processes that no longer exist, {total}",
            "the next `skdpipe extract` deletes them",
        )


def check_room(setup: Setup) -> Iterator[Finding]:
    """Whether the file system has room for more files; the need of bytes is another subject."""
    if not hasattr(os, "statvfs"):
        return
    state = os.statvfs(existing(setup.cache))
    if state.f_files and state.f_favail < _FEW_FILES:
        yield Finding(
            "file-count",
            "warning",
            f"the file system of {setup.cache} has room for {state.f_favail} files more; a video takes two",
            "delete small files there, or choose another folder with --cache",
        )


def existing(path: Path) -> Path:
    """The path, or the first folder above it that exists."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


CHECKS: Final[dict[str, Check]] = {
    "folder": check_folder,
    "entries": check_entries,
    "leftovers": check_leftovers,
    "file-count": check_room,
}
