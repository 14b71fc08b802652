"""The documentation of settings, read from the docstrings of their classes."""

from __future__ import annotations

import inspect
import re

_ENTRY = re.compile(r" {4}(\w+(?:, \w+)*): (.+)")


def description_of(kind: type) -> str:
    """The docstring of a class up to its ``Attributes:`` section, in one line."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[0].split())


def attribute_docs(kind: type) -> dict[str, str]:
    """The documentation of each attribute, from the ``Attributes:`` section of a class's docstring.

    An entry starts with ``name: text`` or, for several attributes with one text, ``name, name: text``; its
    further lines are indented more deeply. The section ends at the next line that is not indented.

    Returns:
        The texts by attribute, each in one line, in the order of the docstring.
    """
    _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    docs: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        if entry := _ENTRY.fullmatch(line):
            names = entry[1].split(", ")
            docs |= dict.fromkeys(names, entry[2])
        elif line.strip():
            docs |= {name: f"{docs[name]} {line.strip()}" for name in names}
    return docs
