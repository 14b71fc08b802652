"""Configs with their documentation, as YAML with comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter

from skdpipe.config.docstrings import attribute_docs, description_of
from skdpipe.config.files import config_path
from skdpipe.config.load import dataclasses_in, load_config, load_section, to_plain
from skdpipe.config.schema import SECTIONS, WHOLE_FILES, groups_of
from skdpipe.errors import ConfigError

_WIDTH: Final = 100


def describe_config(name: str, *, section: str = "", overrides: Sequence[str] = ()) -> str:
    """A config with every setting, its value and its documentation, as YAML with comments.

    >>> text = describe_config("demo", section="experiment", overrides=["recipe.epochs=3"])
    >>> "epochs: 3  # integer > 0; default: 20" in text
    True

    Args:
        name: name of a config that comes with skdpipe, or path of a file.
        section: the section to describe; if empty, the entire file.
        overrides: ``key=value`` of the section; for the entire file ``section.key=value``.

    Raises:
        ConfigError: if the config does not exist or a setting is not valid.
    """
    path = config_path(name)
    if section:
        return _describe_section(path, section, overrides)
    values = load_section(path, "")
    sections = [each for each in SECTIONS if each in values]
    if not sections:
        kind = _kind_of_file(path, values)
        return "\n".join(_group(load_config(kind, path, overrides), 0)) + "\n"
    by_section = _overrides_by_section(overrides, sections)
    return "\n".join(_describe_section(path, each, by_section[each]) for each in sections)


def _describe_section(path: Path, section: str, overrides: Sequence[str]) -> str:
    if section not in SECTIONS:
        raise ConfigError(f"no section is named '{section}'; expected one of {', '.join(SECTIONS)}")
    config: object = load_config(SECTIONS[section], path, overrides, section=section)
    return "\n".join([f"{section}:", *_group(config, 2)]) + "\n"


def _kind_of_file(path: Path, values: dict[str, Any]) -> Any:
    for kind in WHOLE_FILES.values():
        if any(values.keys() <= {each.name for each in fields(group)} for group in dataclasses_in(kind)):
            return kind
    raise ConfigError(
        f"{path} contains {', '.join(map(str, values)):.200}; expected the sections {', '.join(SECTIONS)}, "
        f"or the settings of {', '.join(WHOLE_FILES)}"
    )


def _overrides_by_section(overrides: Sequence[str], sections: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {section: [] for section in sections}
    for override in overrides:
        section, _, rest = override.partition(".")
        if section not in found:
            raise ConfigError(
                f"cannot use the setting '{override:.100}'; expected {', '.join(sections)} in front of it, "
                "or one section with --section"
            )
        found[section].append(rest)
    return found


# YAML with comments


def _group(config: object, indent: int) -> Iterator[str]:
    """The lines of a group of settings."""
    kind = type(config)
    docs, schema, plain = attribute_docs(kind), TypeAdapter(kind).json_schema(), to_plain(config)
    yield from _comment(description_of(kind), indent)
    yield ""
    previous = ""
    for each in fields(config):  # type: ignore[arg-type]  # every config is a dataclass
        doc, value, pad = docs[each.name], getattr(config, each.name), " " * indent
        if doc != previous:
            yield from _comment(doc, indent)
        previous = doc
        if is_dataclass(value):
            yield f"{pad}{each.name}:"
            yield from _group(value, indent + 2)
            continue
        allowed = _allowed(schema["properties"][each.name])
        notes = "; ".join(filter(None, (allowed, _default(each, plain[each.name]))))
        yield from _setting(each.name, plain[each.name], notes, pad)
        if value is None:  # show what could be set, as a comment
            yield from (f"{pad}# {line}".rstrip() for line in _optional_group(kind, each.name))


def _optional_group(kind: type, name: str) -> Iterator[str]:
    for group in groups_of(kind, name):
        yield f"{name}:"
        yield from _group(_example(group), 2)


def _example(group: type) -> object:
    """A group with its defaults; required settings have the lowest value that is allowed."""
    schema = TypeAdapter(group).json_schema()
    lowest = {name: schema["properties"][name].get("minimum", 1) for name in schema.get("required", ())}
    return group(**lowest)


def _comment(text: str, indent: int) -> list[str]:
    start = " " * indent + "# "
    text = f"{text[0].upper()}{text[1:]}".replace("``", "`")
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=start)


def _setting(name: str, value: object, notes: str, pad: str) -> list[str]:
    remark = f"  # {notes}" if notes else ""
    line = f"{pad}{name}: {_flow(value)}"
    if len(line) <= _WIDTH or not isinstance(value, dict | list):
        return [line + remark]
    block = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return [f"{pad}{name}:{remark}", textwrap.indent(block, pad + "  ").rstrip()]


def _flow(value: object) -> str:
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n...\n").rstrip("\n")


def _default(setting: Field[Any], value: object) -> str:
    """The note on the default of a setting; empty if the value is the default."""
    if setting.default is MISSING and setting.default_factory is MISSING:
        return "required"
    default: Any = setting.default if setting.default_factory is MISSING else setting.default_factory()
    plain = TypeAdapter(Any).dump_python(default, mode="json")
    return "" if plain == value else f"default: {_flow(plain)}"


def _allowed(schema: dict[str, Any]) -> str:
    """The values that a part of a JSON schema allows, in words."""
    if "$ref" in schema:
        return "settings"
    if "anyOf" in schema:
        return " or ".join(_allowed(each) for each in schema["anyOf"])
    if "const" in schema:
        return f"always {schema['const']}"
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    match schema["type"]:
        case "integer" | "number" as kind:
            return f"{kind} {_range(schema)}".rstrip()
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(_allowed(each) for each in schema['prefixItems'])}]"
        case "array":
            return f"list: {_allowed(schema['items'])}"
        case "object" if isinstance(schema["additionalProperties"], dict):
            return f"by name: {_allowed(schema['additionalProperties'])}"
        case other:
            return {"object": "settings", "boolean": "true or false", "string": "text"}.get(other, str(other))


def _range(schema: dict[str, Any]) -> str:
    """The bounds of a number, as an interval or as an inequality."""
    signs = {
        "exclusiveMinimum": ("(", ">"),
        "minimum": ("[", ">="),
        "exclusiveMaximum": (")", "<"),
        "maximum": ("]", "<="),
    }
    bounds = [(*signs[key], schema[key]) for key in signs if key in schema]
    if len(bounds) == 2:
        (left, _, lowest), (right, _, highest) = bounds
        return f"in {left}{lowest:g}, {highest:g}{right}"
    return "".join(f"{sign} {bound:g}" for _, sign, bound in bounds)
