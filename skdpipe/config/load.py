"""From YAML, changed by ``key.path=value``, to checked settings and back."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from skdpipe.config.renamed import with_current_names
from skdpipe.errors import ConfigError

T = TypeVar("T")


def config_path(name: str) -> Path:
    """A config by path, or by the name of one that comes with skdpipe (``demo``, ``paper``...).

    Raises:
        ConfigError: if there is neither.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise ConfigError(f"no config file at {path}; expected YAML")
        return path
    package = Path(__file__).parents[1]
    folders = [package / "configs", package.parent / "configs"]
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    raise ConfigError(f"no config named '{name}'; expected a YAML file or one of {', '.join(known)}")


def load_config(kind: type[T], path: Path, overrides: Sequence[str] = (), *, section: str = "") -> T:
    """Read a config of one kind from YAML and apply ``key.path=value`` overrides (values are YAML too).

    Args:
        kind: the dataclass to make.
        path: the file.
        overrides: keys relative to the section.
        section: which part of the file; if empty, all of it.

    Raises:
        ConfigError: if the file cannot be read, is not YAML, has no such section, or a key or value does
            not fit.
    """
    values = load_section(path, section, overrides)
    return parse_config(kind, values, f"{path}: {section}" if section else str(path))


def load_section(path: Path, section: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A section's settings as plain values, not yet checked; arguments and errors as of `load_config`.

    Where the section is no group of settings but a config's name or file, it is the same section there.
    """
    values = _read(path)
    if section:
        if section not in values:
            found = ", ".join(map(str, values)) or "nothing"
            raise ConfigError(f"{path} has no section '{section}'; found {found}")
        if isinstance(values[section], str):
            return load_section(config_path(values[section]), section, overrides)
        values = _mapping(values[section], f"{path}: {section}")
    for override in overrides:
        _override(values, override)
    values, renames = with_current_names(values, str(path))
    for line in renames:
        warnings.warn(line, FutureWarning, stacklevel=3)
    return values


def read_if_named(value: object) -> object:
    """Settings that a string names the file of, or else the value itself.

    Raises:
        ConfigError: as `config_path` and `load_config`.
    """
    return _read(config_path(value)) if isinstance(value, str) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        return _mapping(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise ConfigError(f"no config file at {path} ({error.strerror}); expected YAML") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def _mapping(values: object, where: str) -> dict[str, Any]:
    """What YAML gave, if it is settings; nothing at all is no settings."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{where} holds a {type(values).__name__}; expected a mapping of settings")
    return values


def parse_config(kind: type[T], values: object, where: str) -> T:
    """Check plain values against a config class.

    Raises:
        ConfigError: naming the first key that does not fit.
    """
    if isinstance(values, dict):
        values, _ = with_current_names(values, where)
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = min(error.errors(), key=lambda each: each["type"] == "missing")  # it may be misspelt
        raise ConfigError(f"{where}: {_complaint(kind, first)}") from error


def _complaint(kind: object, problem: ErrorDetails) -> str:
    """The key that does not fit, what was found there, and what was expected."""
    *parents, last = problem["loc"] or ("settings",)
    key = ".".join(map(str, (*parents, last)))
    if problem["type"] == "unexpected_keyword_argument":
        return f"{key} is no setting; expected one of {', '.join(_settings_of(kind, parents))}"
    if problem["type"] == "missing":
        return f"{key} is not set and has no default; add it"
    expected = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "dataclass_type":
        expected = "Input should be a group of settings"
    return f"{key}: found {problem['input']!r:.60}; {expected[0].lower()}{expected[1:]}"


def _settings_of(kind: object, place: Sequence[int | str]) -> list[str]:
    """The settings of a group, which lies at a place in a config class."""
    for name in place:
        hint = get_type_hints(kind).get(str(name), kind)
        kind = next((option for option in (hint, *get_args(hint)) if is_dataclass(option)), kind)
    assert is_dataclass(kind)
    return [each.name for each in fields(kind)]


def change_config(config: T, overrides: Sequence[str], where: str) -> T:
    """A config with ``key.path=value`` overrides applied.

    Raises:
        ConfigError: if a key or value does not fit.
    """
    values = to_plain(config)
    for override in overrides:
        _override(values, override)
    return parse_config(type(config), values, where)


def to_plain(config: object, *, only_changed: bool = False) -> dict[str, Any]:
    """A config as plain YAML and JSON values, or what is not as by default; `parse_config` reads it back."""
    kind = TypeAdapter(type(config))
    plain: dict[str, Any] = kind.dump_python(config, mode="json", exclude_defaults=only_changed)
    return plain


def _override(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise ConfigError(f"cannot read the setting '{override}'; expected key.path=value")
    *parents, last = key.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise ConfigError(f"setting '{override}': {parent} is a value, not a group of settings")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"setting '{override}': {' '.join(str(error).split())}; expected YAML") from error
