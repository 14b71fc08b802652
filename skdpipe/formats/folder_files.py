"""The files of data sets, found below a folder, and text files with a value in each line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from skdpipe.errors import FormatError
from skdpipe.folders import folders_below
from skdpipe.regular_file import read_regular

_MOST_BYTES: Final = 100_000_000


def paths_below(folder: Path, ending: str) -> list[Path]:
    """All paths below a folder whose names end so, sorted; with the folders that cannot be read.

    Links are followed. A folder is entered once: by its own path if it has one below ``folder``, otherwise by
    the first link. What is no regular file, or cannot be read, is left to its reader to refuse by its name.
    """
    found: list[Path] = []
    for each in folders_below(folder):
        if each.error is not None and each.path != folder:
            found.append(each.path)
        found += [Path(entry.path) for entry in each.entries if entry.name.endswith(ending)]
    return sorted(found)


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
