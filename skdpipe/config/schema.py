"""The kinds of config and their JSON schemas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter

from skdpipe.config.comparison import Comparison
from skdpipe.config.docstrings import attribute_docs, description_of
from skdpipe.config.estimator import Estimator
from skdpipe.config.experiment import EstimatorNoise, Experiment
from skdpipe.config.load import dataclasses_in
from skdpipe.config.pose import Demonstration, Extraction, PoseTraining
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

WHOLE_FILES: Final[dict[str, Any]] = {
    "estimator": Estimator,
    "estimator-noise": EstimatorNoise,
    "pose-training": PoseTraining,
}
"""The configs that fill a file without sections."""


def config_schema(kind: str = "") -> dict[str, Any]:
    """The JSON schema of config files, with the documentation of every setting; editors use it for YAML.

    >>> config_schema("experiment")["properties"]["seed"]["minimum"]
    0

    Args:
        kind: a section, or ``estimator``, ``estimator-noise`` or ``pose-training``; if empty, the schema of a
            file with sections.

    Raises:
        ConfigError: if there is no such kind.
    """
    if kind:
        kinds = SECTIONS | WHOLE_FILES
        if kind not in kinds:
            raise ConfigError(f"no config is of kind '{kind}'; expected one of {', '.join(kinds)}")
        return _documented(TypeAdapter(kinds[kind]).json_schema(), kinds[kind])
    definitions: dict[str, Any] = {}
    sections: dict[str, Any] = {}
    for name, section in SECTIONS.items():
        schema = config_schema(name)
        definitions |= schema.pop("$defs", {})
        definitions[section.__name__] = schema
        named = {"type": "string", "description": f"config whose section {name} is used"}
        sections[name] = {"anyOf": [{"$ref": f"#/$defs/{section.__name__}"}, named]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "skdpipe config",
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _documented(schema: dict[str, Any], kind: Any) -> dict[str, Any]:
    """A schema by pydantic with descriptions from the docstrings of the classes."""
    options = dataclasses_in(kind)
    classes = {each.__name__: each for option in options for each in (option, *_groups_within(option))}
    groups = dict(schema.get("$defs", {}))
    if len(options) == 1:
        groups[options[0].__name__] = schema
    for name, group in groups.items():
        group["description"] = description_of(classes[name])
        for setting, doc in attribute_docs(classes[name]).items():
            group["properties"][setting]["description"] = doc
    return schema


def _groups_within(kind: type) -> Iterator[type]:
    for setting in fields(kind):
        for group in groups_of(kind, setting.name):
            yield group
            yield from _groups_within(group)


def groups_of(kind: type, name: str) -> list[type]:
    """The dataclasses that a setting of a config class may be."""
    return dataclasses_in(get_type_hints(kind)[name])
