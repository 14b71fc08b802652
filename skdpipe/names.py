"""What the name of a clip or a label may be: they become cache keys, names of files and lines of text."""

from __future__ import annotations

import unicodedata
from pathlib import PurePath
from typing import Final

from skdpipe.errors import DataError, in_brief

LONGEST_LABEL: Final = 200
"""Bytes of a label, a split or a subject, which may become the name of a folder."""
LONGEST_NAME: Final = 2000
"""Bytes of the name of a clip with its folders."""

_REFUSED: Final = {
    "Cc": "a control character",
    "Cs": "half a character",
    "Zl": "a line break",
    "Zp": "a line break",
}


def require_label(label: object, where: object, what: str = "label") -> str:
    """The label, split or subject: text of 1 to `LONGEST_LABEL` bytes in one line of whole characters.

    Args:
        label: the value from a file or folder.
        where: start of an error message.
        what: the word for the value in an error message.

    Raises:
        DataError: if it is something else.
    """
    return _require_text(label, what, where, LONGEST_LABEL)


def require_name(name: object, where: object) -> str:
    """The name of a clip, also with folders: 1 to `LONGEST_NAME` bytes in one line of whole characters.

    Raises:
        DataError: if it is something else.
    """
    return _require_text(name, "name", where, LONGEST_NAME)


def _require_text(text: object, what: str, where: object, longest: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: {what} {in_brief(text)}; expected text: correct it, or leave the clip out")
    problem = problem_of(text, longest)
    if problem:
        raise DataError(
            f"{where}: {what} {in_brief(text)} has {problem}; expected a line of at most {longest} bytes: "
            "rename it, or leave the clip out"
        )
    return str(text)


def problem_of(text: str, longest: int) -> str:
    """What a text has that a name of ``longest`` bytes must not have; empty if there is nothing."""
    if len(text) > longest:  # also spares the effort for huge texts
        return f"{len(text)} characters"
    if not text.isprintable():
        for character in text:
            if refused := _REFUSED.get(unicodedata.category(character)):
                return f"{refused} (U+{ord(character):04X})"
    size = len(text.encode())
    return f"{size} bytes" if size > longest else ""


def require_path(path: str | PurePath) -> str:
    """The path of a file as text that can be stored: names of files may be any bytes.

    Raises:
        DataError: if the path is not Unicode.
    """
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"{in_brief(text, 100)}: the name is not UTF-8 text; rename the file") from None
    return text
