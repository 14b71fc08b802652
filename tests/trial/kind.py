"""What one row of the table tries."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from trial.children import Finished

Fault = Literal["traceback", "crash", "hang", "memory", "absurd", "lost", "output", "leftovers"]
"""A column of the table:

- traceback: an exception, or an exit code that stands for nothing;
- crash: the process was ended by a signal;
- hang, memory: more time or memory than the limit;
- absurd: accepted with values that are not finite or not possible;
- lost: a good neighbour was not done, or something finished before is gone or changed;
- output: raw control characters, or an error of several lines;
- leftovers: unfinished files remain.
"""

Mutate = Callable[[Path, Random, Path | None], str]
"""Mutates a file in place, perhaps with parts of another one; what was changed."""

Problem = tuple[Fault, str]
"""A fault and what exactly was found."""


@dataclass(frozen=True)
class Case:
    """One case: files that are laid out and commands that run one after the other.

    Attributes:
        mutation: what was mutated and how.
        commands: the arguments after `skdpipe`; relative paths are relative to the case's folder.
        judge: finds what is wrong afterwards, beyond what `skdpipe` printed and how it ended.
    """

    mutation: str
    commands: list[list[str]]
    judge: Callable[[list[Finished]], Iterator[Problem]]


@dataclass(frozen=True)
class Kind:
    """A row of the table.

    Attributes:
        name: of the row.
        cases: number of cases of a full trial.
        prepare: writes the valid files into a folder, once.
        lay_out: writes a case into an empty folder, given the folder of the valid files, and mutates one.
    """

    name: str
    cases: int
    prepare: Callable[[Path], None]
    lay_out: Callable[[Path, Path, Random, Mutate], Case]


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    kind: str
    number: int
    mutation: str
    accepted: bool
    problems: list[Problem] = field(default_factory=list)
    seconds: float = 0.0
    peak: int = 0


def copy_files(source: Path, target: Path) -> Path:
    """A copy of a folder; the files keep their times, so that indices know them."""
    return Path(shutil.copytree(source, target, dirs_exist_ok=True))
