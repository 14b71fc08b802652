"""Config files: which settings they contain, and whether they are valid."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from skdpipe.config import LayoutDescription, load_config, to_plain
from skdpipe.config.load import dataclasses_in
from skdpipe.config.schema import SECTIONS, WHOLE_FILES
from skdpipe.errors import ConfigError
from skdpipe.info.description import Description, Fact, commands_for, listed, size_of

_COMMANDS: Final = {
    "extraction": "skdpipe extract VIDEOS --config {}",
    "experiment": "skdpipe distill --config {}",
    "comparison": "skdpipe compare {}",
}
_LONGEST: Final = 300  # characters of the changed settings in a line


def kinds_of_config(values: object) -> dict[str, Any]:
    """The sections of settings in the content of a YAML file; of a file without sections its kind.

    Empty if it contains no settings of skdpipe.
    """
    if not isinstance(values, dict) or not values:
        return {}
    if sections := {name: kind for name, kind in SECTIONS.items() if name in values}:
        return sections
    names = {str(name) for name in values}
    for name, kind in {**WHOLE_FILES, "layout": LayoutDescription}.items():
        if any(names <= {each.name for each in fields(group)} for group in dataclasses_in(kind)):
            return {name: kind}
    return {}


def describe_config_file(path: Path, kinds: dict[str, Any]) -> Description:
    """Describe a config file, and check its settings."""
    facts, problems = list[Fact](), list[str]()
    for name, kind in kinds.items():
        try:
            settings = load_config(kind, path, section=name if name in SECTIONS else "")
        except ConfigError as error:
            problems.append(str(error))
        else:
            facts.append(Fact(name, to_plain(settings), _changes(settings)))
    valid = "valid" if not problems else "not valid"
    facts.append(Fact("valid", not problems, valid))
    commands = ["skdpipe info SKELETONS --layout {}" if "layout" in kinds else "skdpipe config show {}"]
    commands += [command for section, command in _COMMANDS.items() if section in kinds]
    facts += [commands_for(path, *commands), size_of([path])]
    what = " and ".join(kinds)
    return Description(path, "config", f"a config, {valid}: {what}", tuple(facts), tuple(problems))


def _changes(settings: object) -> str:
    changed = listed(to_plain(settings, only_changed=True)) or "defaults"
    return changed if len(changed) <= _LONGEST else f"{changed[:_LONGEST]}..."
