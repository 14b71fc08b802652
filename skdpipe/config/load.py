"""Settings from YAML files and ``key.path=value`` overrides, checked, and back to plain values."""

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
    """The path of a config, given its path or the name of one that comes with skdpipe.

    >>> config_path("published").name
    'published.yaml'

    Raises:
        ConfigError: if it does not exist.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise ConfigError(f"no config file at {path}; expected YAML")
        return path
    folders = config_folders()
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    raise ConfigError(f"no config named '{name}'; expected a YAML file or one of {', '.join(known)}")


def config_folders() -> list[Path]:
    """Where the configs that come with skdpipe are: in the installed package, or in the source tree."""
    package = Path(__file__).parents[1]
    return [package / "configs", package.parent / "configs"]


def load_config(kind: type[T], path: Path, overrides: Sequence[str] = (), *, section: str = "") -> T:
    """Read a config from YAML and apply ``key.path=value`` overrides (values are YAML too).

    >>> from skdpipe.config import Experiment
    >>> path = config_path("published")
    >>> load_config(Experiment, path, ["recipe.epochs=5"], section="experiment").recipe.epochs
    5

    Args:
        kind: the config class.
        path: the file.
        overrides: changed settings; keys are relative to the section.
        section: section of the file; empty for the whole file.

    Raises:
        ConfigError: if the file cannot be read, is not YAML, has no such section, or a key or value does
            not fit.
    """
    values = load_section(path, section, overrides)
    return parse_config(kind, values, f"{path}: {section}" if section else str(path))


def load_section(path: Path, section: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The settings of a section as plain values, not yet checked; arguments and errors as for `load_config`.

    A section that is a string names another config, whose section of the same name is used.
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
    """The settings in the config that a string names; any other value is returned as it is.

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
    """The content of a YAML file as settings; an empty file has none."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{where} holds a {type(values).__name__}; expected a mapping of settings")
    return values


def parse_config(kind: type[T], values: object, where: str) -> T:
    """Make a config from plain values.

    Raises:
        ConfigError: if a setting is unknown, missing or does not fit; the first one is named.
    """
    if isinstance(values, dict):
        values, _ = with_current_names(values, where)
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = min(error.errors(), key=lambda each: each["type"] == "missing")  # it may be misspelt
        raise ConfigError(f"{where}: {_complaint(kind, first)}") from error


def _complaint(kind: object, problem: ErrorDetails) -> str:
    """The setting that does not fit, the value found and what was expected."""
    *parents, last = problem["loc"] or ("settings",)
    key = ".".join(map(str, (*parents, last)))
    if problem["type"] == "unexpected_keyword_argument":
        return f"{key} is not a setting; expected one of {', '.join(_settings_of(kind, parents))}"
    if problem["type"] == "missing":
        return f"{key} is missing and has no default; add it"
    expected = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "dataclass_type":
        expected = "Input should be a group of settings"
    return f"{key}: found {problem['input']!r:.60}; {expected[0].lower()}{expected[1:]}"


def _settings_of(kind: object, place: Sequence[int | str]) -> list[str]:
    """The names of the settings in a group, given the path to it in a config class."""
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
    """A config as plain YAML and JSON values, or only those that differ from the defaults."""
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
