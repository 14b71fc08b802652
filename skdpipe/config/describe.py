"""Documentation of settings, from the docstrings of their dataclasses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, Final, cast, get_args, get_type_hints

import yaml
from docstring_parser import DocstringStyle, parse
from pydantic import TypeAdapter

from skdpipe.config.comparison import Comparison
from skdpipe.config.experiment import EstimatorNoise, Experiment
from skdpipe.config.load import config_folders, config_path, load_config, load_section, to_plain
from skdpipe.config.pose import Demonstration, Estimator, Extraction, PoseTraining
from skdpipe.config.report import Report
from skdpipe.errors import ConfigError

SECTIONS: Final[dict[str, type]] = {
    "demonstration": Demonstration,
    "extraction": Extraction,
    "experiment": Experiment,
    "comparison": Comparison,
    "report": Report,
}
"""The sections of a config file."""

FILES: Final[dict[str, type]] = {
    "pose-training": PoseTraining,
    "estimator": Estimator,
    "estimator-noise": EstimatorNoise,
}
"""Kinds of config files without sections."""

_WIDTH: Final = 100


def list_configs() -> dict[str, str]:
    """The configs that come with skdpipe: name and first sentence of the comment at the head."""
    paths = sorted({path.stem: path for folder in config_folders() for path in folder.glob("*.yaml")}.items())
    return {name: _head(path) for name, path in paths}


def _head(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.lstrip("# ") for line in lines[: _comment_lines(lines)])
    return comment.split(". ")[0].rstrip(".")


def _comment_lines(lines: Sequence[str]) -> int:
    return next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))


def describe_config(name: str, overrides: Sequence[str] = (), *, section: str = "") -> str:
    """A config as YAML: every setting with its value, its documentation and, if changed, its default.

    The text is itself a config file.

    Args:
        name: name or path of a config.
        overrides: ``key.path=value`` of the section, or ``section.key.path=value`` without one.
        section: prints one section only.

    Raises:
        ConfigError: if the config does not exist, has no such section, or a setting does not fit.
    """
    path = config_path(name)
    content = load_section(path, "")
    if section and section not in SECTIONS:
        raise ConfigError(f"no section '{section}'; expected one of {', '.join(SECTIONS)}")
    sections = [section] if section else [key for key in content if key in SECTIONS]
    if not sections:
        return "\n".join(_yaml(load_config(_kind_of_file(path), path, overrides), "")) + "\n"
    lines = []
    for each in sections:
        own = [text.removeprefix(f"{each}.") for text in overrides if section or text.startswith(f"{each}.")]
        config: object = load_config(SECTIONS[each], path, own, section=each)
        lines += [f"{each}:", *_yaml(config, "  ")]
    return "\n".join(lines) + "\n"


def _kind_of_file(path: Path) -> type:
    keys = load_section(path, "").keys()
    for kind in FILES.values():
        if keys <= {field.name for field in fields(kind)}:
            return kind
    raise ConfigError(
        f"{path} has the settings {', '.join(keys)}; expected sections ({', '.join(SECTIONS)}) or the "
        f"settings of one kind ({', '.join(FILES)})"
    )


def _yaml(config: object, indent: str) -> Iterator[str]:
    """The settings of a config, one after the other, each below its documentation."""
    kind = type(config)
    documentation = setting_docs(kind)
    plain, changed = to_plain(config), to_plain(config, only_changed=True)
    for field in fields(cast(Any, kind)):
        value = getattr(config, field.name)
        text = documentation[field.name]
        if field.name in changed and not is_dataclass(value) and field.default is not MISSING:
            text += f" (default: {_inline(TypeAdapter(Any).dump_python(field.default, mode='json'))})"
        yield from (f"{indent}# {line}" for line in wrap(text, _WIDTH - len(indent), break_on_hyphens=False))
        if is_dataclass(value):
            yield f"{indent}{field.name}:"
            yield from _yaml(value, indent + "  ")
        else:
            yield f"{indent}{field.name}: {_inline(plain[field.name])}"


def _inline(value: object) -> str:
    """A plain value as YAML in one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def setting_docs(kind: type) -> dict[str, str]:
    """The documentation of each setting of a config class."""
    parsed = parse(kind.__doc__ or "", DocstringStyle.GOOGLE)
    return {
        name.strip(): " ".join((each.description or "").split())
        for each in parsed.params
        for name in each.arg_name.split(",")
    }


def config_schema(kind: str) -> dict[str, Any]:
    """The JSON schema of a section or file, with the documentation of every setting.

    Args:
        kind: a section (``experiment``...) or a kind of file (``estimator``...).

    Raises:
        ConfigError: if there is no such kind.
    """
    known = {**SECTIONS, **FILES}
    if kind not in known:
        raise ConfigError(f"no schema of '{kind}'; expected one of {', '.join(known)}")
    schema: dict[str, Any] = TypeAdapter(known[kind]).json_schema()
    for each in config_classes(known[kind]):
        described = schema if each is known[kind] else schema["$defs"][each.__name__]
        for name, text in setting_docs(each).items():
            described["properties"][name]["description"] = text
    return schema


def config_classes(kind: type) -> list[type]:
    """A config class and all config classes that it contains."""
    found, pending = [], [kind]
    while pending:
        each = pending.pop()
        if is_dataclass(each) and each not in found:
            found.append(each)
            pending += [part for hint in get_type_hints(each).values() for part in _types(hint)]
    return found


def _types(hint: Any) -> list[Any]:
    return [hint, *(part for option in get_args(hint) for part in _types(option))]


def schema_text(kind: str) -> str:
    """`config_schema` as indented JSON."""
    return json.dumps(config_schema(kind), indent=2, ensure_ascii=False)
