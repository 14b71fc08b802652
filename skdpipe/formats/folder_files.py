"""The files of data sets, found below a folder, and text files with a value in each line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from skdpipe.errors import FormatError
from skdpipe.regular_file import read_regular

_MOST_BYTES: Final = 100_000_000


def paths_below(folder: Path, ending: str) -> list[Path]:
    """All paths below a folder whose names end so, sorted; with the folders that cannot be read.

    Links are followed. A folder is entered once: by its own path if it has one below ``folder``, otherwise by
    the first link. What is no regular file, or cannot be read, is left to its reader to refuse by its name.
    """
    found: list[Path] = []
    entered: set[tuple[int, int]] = set()
    links: list[str] = []
    pending = [str(folder)]
    while pending or links:
        inside = pending.pop() if pending else links.pop(0)
        try:
            state = os.stat(inside)  # noqa: PTH116
            if (state.st_dev, state.st_ino) in entered:
                continue
            entered.add((state.st_dev, state.st_ino))
            with os.scandir(inside) as entries:
                in_order = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            if Path(inside) != folder:
                found.append(Path(inside))
            continue
        for entry in in_order:
            if entry.name.endswith(ending):
                found.append(Path(entry.path))
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif _is_link_to_folder(entry):
                links.append(entry.path)
    return sorted(found)


def _is_link_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # links that name each other
        return False


def read_lines(path: Path, expected: str) -> list[str]:
    """The lines of a text file in UTF-8, without white space around them.

    Raises:
        FormatError: if the file cannot be read, is larger than 100 MB or is not UTF-8 text.
    """
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected {expected}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} cannot be read ({error}); expected {expected} in UTF-8") from error
    return [line.strip() for line in re.split(r"\r\n|\r|\n", text.removesuffix("\n"))] if text else []
