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


def leave_out(clips: str) -> str:
    """How to remove clips from an experiment, as a remedy."""
    return (
        f"give {clips} an empty label in the CSV of the videos and run `skdpipe extract` again; "
        "imported clips: list their names in a file for `skdpipe import --skip FILE`, into another cache"
    )
