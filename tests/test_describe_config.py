"""Configs with their documentation: YAML with comments, JSON schemas, and the docstrings behind both."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from skdpipe.config import (
    Augmentation,
    Comparison,
    Degradation,
    Estimator,
    EstimatorNoise,
    Experiment,
    Extraction,
    OpenPifPafSettings,
    PluginSettings,
    PoseTraining,
    RtmlibSettings,
    config_path,
    config_schema,
    describe_config,
    list_configs,
    load_config,
    parse_config,
)
from skdpipe.config.docstrings import attribute_docs, description_of
from skdpipe.config.load import dataclasses_in
from skdpipe.config.schema import SECTIONS, WHOLE_FILES, groups_of
from skdpipe.errors import ConfigError

NAMES = [config.name for config in list_configs()]


# Docstrings


@dataclass
class Painted:
    """Has a title
    in two lines.

    And more.

    Attributes:
        width, height: size in pixels.
        colour: one of a palette: red,
            green or blue.

        depth: in bits.

    Raises:
        nothing: this is not an attribute.
    """

    width: int
    height: int
    colour: str
    depth: int


def test_attributes_are_read_from_a_docstring() -> None:
    assert description_of(Painted) == "Has a title in two lines. And more."
    assert attribute_docs(Painted) == {
        "width": "size in pixels.",
        "height": "size in pixels.",
        "colour": "one of a palette: red, green or blue.",
        "depth": "in bits.",
    }


def test_a_docstring_without_attributes_has_none() -> None:
    class Plain:
        """No section."""

    class Silent:
        pass

    assert (description_of(Plain), attribute_docs(Plain)) == ("No section.", {})
    assert (description_of(Silent), attribute_docs(Silent)) == ("", {})


def all_kinds() -> list[type[Any]]:
    """Every config class that a file can contain."""
    found = [each for kind in (*SECTIONS.values(), *WHOLE_FILES.values()) for each in dataclasses_in(kind)]
    for kind in found:  # grows in the loop
        found += [
            group for each in fields(kind) for group in groups_of(kind, each.name) if group not in found
        ]
    return found


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.__name__)
def test_every_setting_is_documented_and_nothing_else(kind: type[Any]) -> None:
    docs = attribute_docs(kind)
    assert list(docs) == [each.name for each in fields(kind)]
    assert all(text.endswith(".") for text in docs.values())


# YAML with comments


@pytest.mark.parametrize("name", NAMES)
def test_a_described_config_is_the_config(name: str) -> None:
    described = yaml.safe_load(describe_config(name))
    raw = yaml.safe_load(config_path(name).read_text(encoding="utf-8"))
    sections = [section for section in SECTIONS if section in raw]
    for section in sections:
        again = parse_config(SECTIONS[section], described[section], "described")
        assert again == load_config(SECTIONS[section], name, section=section)
    assert list(described) == sections or not sections
    if not sections:
        (kind,) = {kind for kind in WHOLE_FILES.values() if kind is kind_of(name)}
        assert parse_config(kind, described, "described") == load_config(kind, name)


def kind_of(name: str) -> Any:
    if name.endswith("-noise"):
        return EstimatorNoise
    return PoseTraining if name.startswith("pose-") else Estimator


def test_every_setting_has_its_documentation_above_its_value() -> None:
    text = describe_config("published", section="experiment")
    lines = [line.strip() for line in text.splitlines()]
    place = lines.index("epochs: 30  # integer > 0; default: 20")
    assert lines[place - 1] == f"# {sentence(attribute_docs, 'epochs')}"
    assert all(f"{each.name}:" in text for each in fields(Experiment))
    assert not [line for line in text.splitlines() if line.startswith(" #") and len(line) > 110]


def sentence(docs: Any, setting: str) -> str:
    from skdpipe.config import Recipe

    text = docs(Recipe)[setting]
    return f"{text[0].upper()}{text[1:]}"


def test_a_group_that_is_not_set_is_shown_as_a_comment_that_can_be_uncommented() -> None:
    text = describe_config("published", section="experiment")
    lines = text.splitlines()
    start = lines.index("  # derive_low:")
    assert "  derive_low: null  # settings or null" in lines[:start]
    group = []
    for line in lines[start:]:
        if not re.match("  #( |$)", line) or (group and not re.match("  #($|   )", line)):
            break
        group.append(line[4:])
    values = yaml.safe_load("\n".join(group))["derive_low"]
    assert parse_config(Degradation, values, "comment") == Degradation()


@pytest.mark.parametrize(
    ("setting", "notes"),
    [
        ("rotation: 15.0", "number in [0, 180]"),
        ("crop: 0.7", "number in (0, 1]"),
        ("flip: 0.5", "number in [0, 1]"),
        ("shear: 0.0", "number in [0, 1)"),
        ("learning_rate: 0.002", "number > 0; default: 0.1"),
        ("warmup: 2", "integer >= 0; default: 0"),
        ("mixed_precision: fp16", "one of fp16, bf16, none"),
        ("fill: resample", "one of resample, replay"),
        ("milestones: []", "list: integer > 0"),
        ("layout: coco-17", "text or settings"),
    ],
)
def test_ranges_and_changed_defaults_are_behind_the_value(setting: str, notes: str) -> None:
    lines = describe_config("published", section="experiment").splitlines()
    assert f"{setting}  # {notes}" in [line.strip() for line in lines]


def test_required_settings_and_lists_of_fixed_length_are_marked() -> None:
    text = describe_config("pose-actors-high")
    assert "backbone: resnet18  # text; required\n" in text
    assert "size: [240, 180]  # [integer in (0, 100000], integer in (0, 100000]]\n" in text


def test_overrides_change_what_is_shown() -> None:
    whole = yaml.safe_load(
        describe_config("published", overrides=["experiment.seed=3", "extraction.people=1"])
    )
    assert (whole["experiment"]["seed"], whole["extraction"]["people"]) == (3, 1)
    part = yaml.safe_load(describe_config("published", section="experiment", overrides=["seed=4"]))
    assert (list(part), part["experiment"]["seed"]) == (["experiment"], 4)
    estimator = yaml.safe_load(describe_config("movenet-estimator", overrides=["every=5"]))
    assert estimator["every"] == 5


def test_a_config_of_the_user_is_described(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extraction: {high: {backbone: a, weights: c}, low: {backbone: b, weights: c}}")
    assert yaml.safe_load(describe_config(str(path)))["extraction"]["low"]["backbone"] == "b"


@pytest.mark.parametrize(
    ("name", "section", "overrides", "message"),
    [
        ("nothing", "", [], "no config named 'nothing'"),
        ("penn", "extraction", [], "penn.yaml has no section 'extraction'; found experiment"),
        ("penn", "experiments", [], "no section is named 'experiments'; expected one of demonstration"),
        ("penn", "", ["seed=3"], "cannot use the setting 'seed=3'; expected experiment in front of it"),
        ("penn", "experiment", ["sed=3"], "sed is no setting; expected one of name, seed"),
    ],
)
def test_a_mistake_is_one_line(name: str, section: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        describe_config(name, section=section, overrides=overrides)
    assert "\n" not in str(caught.value)


def test_a_file_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("experimnt: {seed: 3}")
    with pytest.raises(ConfigError, match="contains experimnt; expected the sections demonstration, "):
        describe_config(str(path))


# The list


def test_the_list_has_every_config_with_a_summary() -> None:
    assert {"demo", "paper", "published", "report"} <= set(NAMES)
    assert sorted(NAMES) == NAMES
    for config in list_configs():
        assert config.path == config_path(config.name)
        assert config.summary
        assert config.path.read_text(encoding="utf-8").startswith(f"# {config.summary[:20]}")


# JSON schema


def follow(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A part of a schema with its reference, if any, replaced."""
    if "$ref" in part:
        found: dict[str, Any] = schema["$defs"][part["$ref"].removeprefix("#/$defs/")]
        return found
    return part


@pytest.mark.parametrize("kind", [*SECTIONS, *WHOLE_FILES])
def test_a_schema_has_every_setting_with_its_documentation(kind: str) -> None:
    schema = config_schema(kind)
    groups = schema.get("$defs", {}) | ({"": schema} if "properties" in schema else {})
    assert groups
    for name, group in groups.items():
        assert group["additionalProperties"] is False, name
        assert group["description"]
        assert all(each["description"] for each in group["properties"].values())
    for expected in dataclasses_in({**SECTIONS, **WHOLE_FILES}[kind]):
        group = groups.get(expected.__name__, schema)
        assert set(group["properties"]) == {each.name for each in fields(expected)}


def test_the_schema_of_a_file_has_every_section_or_the_name_of_a_config() -> None:
    schema = config_schema()
    assert list(schema["properties"]) == list(SECTIONS)
    for section, part in schema["properties"].items():
        group, named = (follow(schema, each) for each in part["anyOf"])
        assert list(group["properties"]) == [each.name for each in fields(SECTIONS[section])]
        assert named["type"] == "string"


def test_every_reference_of_a_schema_is_defined() -> None:
    schema = config_schema()
    used = set(re.findall(r"#/\$defs/(\w+)", str(schema)))
    assert used <= schema["$defs"].keys()
    assert {"Augmentation", "EstimatorNoise", "Thresholds"} <= used


def test_noise_may_be_given_by_the_name_of_a_file() -> None:
    noise = config_schema("experiment")["$defs"]["Degradation"]["properties"]["noise"]
    assert {"type": "string"} in noise["anyOf"]
    assert parse_config(Degradation, {"noise": "hard-noise"}, "test").noise is not None


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="no config is of kind 'recipe'; expected one of demonstration, "):
        config_schema("recipe")


def test_optional_groups_are_found_in_annotations() -> None:
    assert groups_of(Degradation, "noise") == [EstimatorNoise]
    assert groups_of(Experiment, "seed") == []
    assert groups_of(Extraction, "high") == [OpenPifPafSettings, RtmlibSettings, PluginSettings]
    assert groups_of(Comparison, "scenarios") == []
    assert [group.__name__ for group in groups_of(PoseTraining, "data")] == ["Actors", "CocoFile"]
    assert Augmentation in all_kinds()
