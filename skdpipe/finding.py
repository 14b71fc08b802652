"""What a check found: a number, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["fine", "note", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: of the check, one word or two with a hyphen.
        level: a ``problem`` makes results wrong or worthless or stops a command, a ``warning`` may lower or
            delay them; a ``note``, which only the diagnosis of a machine has, is about what is not there and
            need not be.
        text: what was found, with numbers, in one line.
        remedy: what to do, in one line; empty if the level is ``fine``.
        clips: sources of the clips that it is about, the most important first; for checks of classes and
            subjects the names of these.
    """

    name: str
    level: Level
    text: str
    remedy: str = ""
    clips: tuple[str, ...] = ()


def first_few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and the number of the others."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
