"""Reads settings from YAML, applies ``key.path=value`` overrides, checks them, and converts them back."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from skdpipe.config.files import config_path
from skdpipe.config.renamed import with_current_names
from skdpipe.config.yaml_text import parse_yaml, read_yaml
from skdpipe.errors import ConfigError, in_brief

T = TypeVar("T")
_MOST_GROUPS: Final = 50  # within each other


def load_config(kind: type[T], path: str | Path, overrides: Sequence[str] = (), *, section: str = "") -> T:
    """Read a config of one kind from YAML and apply ``key.path=value`` overrides (values are YAML too).

    >>> from skdpipe import Experiment, load_config
    >>> experiment = load_config(Experiment, "demo", ["recipe.epochs=3"], section="experiment")
    >>> experiment.name, experiment.recipe.epochs
    ('demo', 3)

    Args:
        kind: the dataclass of the settings.
        path: path of the file, or the name of a config that comes with skdpipe.
        overrides: keys are relative to the section.
        section: the section of the file; if empty, the entire file.

    Raises:
        ConfigError: if the file cannot be read, is not YAML or does not contain the section, or if a key or
            value is not valid.
    """
    file = path if isinstance(path, Path) else config_path(path)
    values = load_section(file, section, overrides)
    return parse_config(kind, values, f"{file}: {section}" if section else str(file))


def load_section(path: Path, section: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The settings of a section as plain values that are not yet checked.

    If the section contains the name or path of another config instead of settings, the same section of that
    config is used. Arguments and errors are those of `load_config`.
    """
    values = _read(path)
    if section:
        read = {path.resolve()}
        while isinstance(named := _section_of(values, section, path), str):
            path = config_path(named)
            if path.resolve() in read:
                raise ConfigError(f"{path}: section '{section}' names itself; expected settings in one file")
            read.add(path.resolve())
            values = _read(path)
        values = _mapping(named, f"{path}: {section}")
    values, renames = with_current_names(values, str(path))
    for override in overrides:
        renames += _override(values, override)
    for line in renames:
        warnings.warn(line, FutureWarning, stacklevel=3)
    return values


def read_if_named(value: object) -> object:
    """The settings in the file whose name or path is given as a string; any other value is returned as it is.

    Raises:
        ConfigError: as `config_path` and `load_config`.
    """
    return _read(config_path(value)) if isinstance(value, str) else value


def _read(path: Path) -> dict[str, Any]:
    return _mapping(read_yaml(path), str(path))


def _section_of(values: dict[str, Any], section: str, path: Path) -> object:
    """The content of a section, or the name of the config that contains it."""
    if section not in values:
        found = ", ".join(map(str, values)) or "nothing"
        raise ConfigError(f"{path} has no section '{section}'; found {found:.200}")
    return values[section]


def _mapping(values: object, where: str) -> dict[str, Any]:
    """The content of a YAML file or section as a mapping; an empty one has no settings."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{where} contains a {type(values).__name__}; expected a mapping of settings")
    return values


def parse_config(kind: type[T], values: object, where: str) -> T:
    """Check plain values against a config class.

    Args:
        kind: the dataclass of the settings.
        values: nested plain values, as in YAML; settings that were renamed may have their old names.
        where: start of an error message.

    Raises:
        ConfigError: if a key or value is not valid; the message contains the first such key.
    """
    try:
        if isinstance(values, dict):
            values, _ = with_current_names(values, where)
        return TypeAdapter(kind).validate_python(values)
    except RecursionError as error:
        raise ConfigError(f"{where}: groups within groups without end; expected settings") from error
    except ValidationError as error:
        first = min(error.errors(), key=lambda each: each["type"] == "missing")  # it may be a misspelt key
        raise ConfigError(f"{where}: {_complaint(kind, first)}") from error


def _complaint(kind: object, problem: ErrorDetails) -> str:
    """The key that is not valid, the value found, and the values expected."""
    groups, names = _groups_at(kind, problem["loc"])
    key = ".".join(f"{name:.60}" for name in names or ["settings"])
    if problem["type"] == "unexpected_keyword_argument":
        return f"{key} is no setting; expected one of {', '.join(each.name for each in fields(groups[-1]))}"
    if problem["type"] == "missing":
        return f"{key} is missing and has no default; add it"
    expected = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in {"dataclass_type", "union_tag_invalid"}:
        expected = "Input should be a group of settings"
    return f"{key}: found {in_brief(problem['input'], 60)}; {expected[0].lower()}{expected[1:]}"


def _groups_at(kind: object, place: Sequence[int | str]) -> tuple[list[Any], list[str]]:
    """The config classes on the way to a place in settings, and its names.

    Where one of several classes is allowed, pydantic's place contains the name of the chosen one.
    """
    options = dataclasses_in(kind)
    groups, names = options[:1], list[str]()
    for name in map(str, place):
        if chosen := [option for option in options if option.__name__ == name]:
            groups.append(chosen[0])
            options = []
            continue
        names.append(name)
        hint = get_type_hints(groups[-1]).get(name)
        options = dataclasses_in(hint)
        groups += options[:1]
    return groups, names


def dataclasses_in(hint: object) -> list[Any]:
    """The config classes that a type hint allows."""
    if isinstance(hint, type) and is_dataclass(hint):
        return [hint]
    return [each for inner in get_args(hint) for each in dataclasses_in(inner)]


def change_config(config: T, overrides: Sequence[str], where: str) -> T:
    """A config with ``key.path=value`` overrides applied.

    Raises:
        ConfigError: if a key or value is not valid.
    """
    values = to_plain(config)
    for override in overrides:
        _override(values, override)
    return parse_config(type(config), values, where)


def to_plain(config: object, *, only_changed: bool = False) -> dict[str, Any]:
    """A config as plain values for YAML and JSON, which `parse_config` reads back.

    Args:
        config: the dataclass.
        only_changed: leave out settings that have their defaults.
    """
    kind = TypeAdapter(type(config))
    plain: dict[str, Any] = kind.dump_python(config, mode="json", exclude_defaults=only_changed)
    return plain


def _override(values: dict[str, Any], override: str) -> list[str]:
    """Apply one override in place; returns a line for each rename that was applied."""
    key, sign, text = override.partition("=")
    where = f"setting '{override:.100}'"
    if not sign or not key:
        raise ConfigError(f"cannot read the {where}; expected key.path=value")
    if key.count(".") > _MOST_GROUPS:
        raise ConfigError(f"{where} is {key.count('.')} groups deep; expected key.path=value")
    nested = parse_yaml(text, where)
    for name in reversed(key.split(".")):
        nested = {name: nested}
    nested, renames = with_current_names(nested, where)
    for _ in key.split(".")[1:]:
        ((parent, nested),) = nested.items()
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: {parent:.60} is a value, not a group of settings")
    values.update(nested)
    return renames
