"""What is known about a file or folder: facts with a name, a value for programs and a text for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal

from skdpipe.printable import printable
from skdpipe.skeleton.mean_pose import PoseSummary
from skdpipe.storage import Place

Kind = Literal[
    "bundle",
    "run",
    "cross-validation",
    "comparison",
    "export",
    "pose network",
    "checkpoint",
    "training state",
    "pose cache",
    "cached sequence",
    "skeletons",
    "video",
    "config",
    "folder",
]


@dataclass(frozen=True)
class Fact:
    """Something that is known.

    Attributes:
        name: what it is about, in lower case.
        value: plain value as in JSON.
        text: the same for people, in one or several lines; by default the value, of a list each item in a
            line.
    """

    name: str
    value: Any
    text: str | tuple[str, ...] = ""

    @property
    def lines(self) -> list[str]:
        """The lines for people; none without a value."""
        if isinstance(self.text, tuple):
            return list(self.text)
        if self.text or self.value is None:
            return [self.text] if self.text else []
        return list(map(str, self.value)) if isinstance(self.value, list) else [str(self.value)]


@dataclass(frozen=True)
class Description:
    """What a file or folder is.

    Attributes:
        path: of the file or folder.
        kind: what was recognised.
        title: what it is in one line.
        facts: what is known about it.
        problems: what is damaged or cannot be read, with the remedy; empty if it is whole.
        notes: what was left out, or is remarkable.
        poses: the mean pose, of skeletons.
    """

    path: Place
    kind: Kind
    title: str
    facts: tuple[Fact, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    poses: PoseSummary | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The values of the facts by name, with underscores for spaces."""
        return {fact.name.replace(" ", "_").replace("-", "_"): fact.value for fact in self.facts}

    def to_plain(self) -> dict[str, object]:
        """All of it as plain values, for JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "title": self.title,
            "facts": self.values,
            "notes": list(self.notes),
            "problems": list(self.problems),
        }

    def to_text(self) -> str:
        """Title and facts as lines of text, in which control characters are escaped."""
        width = max((len(fact.name) for fact in self.facts), default=0) + 2
        lines = [printable(f"{self.path}: {self.title}")]
        for fact in self.facts:
            for name, line in zip(chain([fact.name], repeat("")), fact.lines, strict=False):
                lines.append(f"{printable(name):{width}}{printable(line)}".rstrip())
        return "\n".join(lines)


def size_of(files: Iterable[Path]) -> Fact:
    """The size of files."""
    return bytes_as_fact(sum(file.stat().st_size for file in files))


def commands_for(path: Place, *commands: str) -> Fact:
    """Commands that use a file or folder, which stands for each ``{}``."""
    return Fact("commands", [command.replace("{}", shlex.quote(str(path))) for command in commands])


def bytes_as_fact(size: int) -> Fact:
    """A number of bytes."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return Fact("bytes", size, f"{size / factor:.1f} {unit}")
    return Fact("bytes", size)


def listed(values: Mapping[str, object]) -> str:
    """Names with their values in one line."""
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in values.items())


def _short(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return f"({listed(value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)
