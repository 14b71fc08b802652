"""What a check found: a number, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["fine", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        name: of the check, one word or two with a hyphen.
        level: a ``problem`` makes results wrong or worthless, a ``warning`` may lower them.
        text: what was found, with numbers, in one line.
        remedy: what to do, in one line; empty if nothing.
        clips: sources of the clips that it is about, the most striking first.
    """

    name: str
    level: Level
    text: str
    remedy: str = ""
    clips: tuple[str, ...] = ()


def listed(clips: tuple[str, ...], most: int = 3) -> str:
    """The first clips, and the number of the others."""
    rest = len(clips) - most
    return ", ".join(clips[:most]) + (f" and {rest} more" if rest > 0 else "")
