"""YAML within bounds: what it is read as, and what is refused in one line."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skdpipe import Experiment, load_config
from skdpipe.config.yaml_text import parse_yaml, read_yaml
from skdpipe.errors import ConfigError

NAMES = "abcdefghij"
BOMB = "\n".join(
    f"{name}: &{name} [{','.join([f'*{before}' if before else 'x'] * 9)}]"
    for before, name in zip(["", *NAMES], NAMES, strict=False)
)
MERGES = "\n".join(
    f"{name}: &{name} {{<<: [{','.join([f'*{before}'] * 9)}]}}" if before else f"{name}: &{name} {{x: 1}}"
    for before, name in zip(["", *NAMES], NAMES, strict=False)
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (BOMB, "more than 100000 values"),
        (MERGES, "more than 100000 values"),
        ("[" + "a," * 200_000 + "]", "more than 100000 values"),
        ("[" * 100_000, "more than 50 levels"),
        ("{a: " * 20_000, "more than 50 levels"),
        ("- " * 20_000, "more than 50 levels"),
        ("&a [*a]", "an anchor that contains itself"),
        ("a: &a {<<: *a}", "an anchor that contains itself"),
        ("a: " + "9" * 5000, "expected one of 64 bits"),
        ("a: 0x" + "f" * 50, "expected one of 64 bits"),
        ("a: 1\nb: 2\na: 3", "the key 'a' twice"),
        ("{[a]: b}", "the key a sequence; expected text"),
        ("null: b", "the key 'null'; expected text: put it in quotes"),
        ("yes: b", "the key 'yes'; expected text: put it in quotes"),
        ('a: "\\ud800"', "half a character"),
        ('a: "\\0"', "a NUL character"),
        ('a: "\\UFFFFFFFF"', "OverflowError"),
        ("a: \0", "special characters are not allowed"),
        ("a: !!int x", "ValueError"),
        ("a: !!bool x", "KeyError"),
        ("a: !!binary aGk=", "could not determine a constructor"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("k" * 5000 + ": 1", "mapping values are not allowed here"),
    ],
)
def test_hostile_text_is_refused_in_one_line(text: str, found: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "mine.yaml")
    message = str(caught.value)
    assert message.startswith("mine.yaml is not YAML: ")
    assert found in message
    assert "\n" not in message
    assert len(message) < 400
    assert time.perf_counter() - start < 30


def test_dates_are_text() -> None:
    assert parse_yaml("[2024-05-01, 2024-99-99]", "x") == ["2024-05-01", "2024-99-99"]


def test_aliases_and_merge_keys_are_read() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a"
    assert parse_yaml(text, "x") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False)
    # PyYAML itself writes some line separators so that it reads spaces.
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x85\u2028\u2029"), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc 1:#'-", max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(plain)
def test_what_is_written_is_read(values: object) -> None:
    assert parse_yaml(yaml.safe_dump(values, allow_unicode=True), "x") == values


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="more than 1000000 bytes"):
        read_yaml(path)


def test_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="it is a pipe, not a regular file"):
        read_yaml(tmp_path / "pipe.yaml")


@pytest.mark.parametrize("first", ["first.yaml", "second.yaml"])
def test_sections_that_name_each_other_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("first.yaml").write_text(f"experiment: {first}")
    Path("second.yaml").write_text("experiment: first.yaml")
    with pytest.raises(ConfigError, match=r"^\w+.yaml: section 'experiment' names itself; expected settings"):
        load_config(Experiment, "second.yaml", section="experiment")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("recipe.learning_rate=.inf", "found inf; input should be a finite number"),
        ("recipe.learning_rate=1e999", "found '1e999'; input should be a finite number"),
        (
            "clip.frames=100000000",
            "found 100000000; input should be less than or equal to 10000",
        ),
        ('name="a\\eb"', "has a control character (U+001B)"),
        (f"name={'é' * 101}", "has 202 bytes"),
        (f"{'a.' * 5000}b=1", "groups deep; expected key.path=value"),
        (f"recipe={'[' * 5000}", "more than 50 levels"),
        (f"{'k' * 10_000}=1", "is no setting"),
    ],
)
def test_absurd_settings_are_refused_in_a_bounded_line(override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(Experiment, "paper", [override], section="experiment")
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 600
