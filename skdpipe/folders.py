"""Folders that are searched with all that is below them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folder:
    """A folder that was searched, or the reason why it was not.

    Attributes:
        path: below the folder that the search began with.
        entries: what it contains, sorted by name; empty if it was not searched.
        error: why it cannot be read; None if it was read.
        is_repeated: whether it is a link to a folder that was searched already.
    """

    path: Path
    entries: tuple[os.DirEntry[str], ...] = ()
    error: OSError | None = None
    is_repeated: bool = False


def folders_below(folder: Path) -> Iterator[Folder]:
    """A folder and those below it, each searched once.

    Links are followed after everything else, so that a folder in the tree is found by its own name.
    """
    searched: set[tuple[int, int]] = set()
    waiting, linked = [folder], deque[Path]()
    while waiting or linked:
        where = waiting.pop() if waiting else linked.popleft()
        try:
            status = where.stat()
            with os.scandir(where) as listed:
                entries = tuple(sorted(listed, key=lambda entry: entry.name))
        except OSError as error:
            yield Folder(where, error=error)
            continue
        if (status.st_dev, status.st_ino) in searched:
            yield Folder(where, is_repeated=True)
            continue
        searched.add((status.st_dev, status.st_ino))
        waiting += [where / entry.name for entry in reversed(entries) if entry.is_dir(follow_symlinks=False)]
        linked += [where / entry.name for entry in entries if _is_link_to_folder(entry)]
        yield Folder(where, entries)


def _is_link_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # links that name each other
        return False
