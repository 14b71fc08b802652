"""What a check found: a number, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["fine", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: of the check, one word or two with a hyphen.
        level: a ``problem`` makes results wrong or worthless, a ``warning`` may lower them.
        text: what was found, with numbers, in one line.
        remedy: what to do, in one line; empty if the level is ``fine``.
        clips: sources of the clips that it is about, the most important first; in the output of classes and
            subjects their names.
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


def worse_of(*levels: Level) -> Level:
    """The most serious of some levels."""
    return next(level for level in ("problem", "warning", "fine") if level in levels)
