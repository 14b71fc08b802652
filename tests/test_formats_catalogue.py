"""The catalogue of formats, its options, and the lists of the command line."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import get_args

import pytest

from skdpipe.cli import poses
from skdpipe.errors import ConfigError, FormatError
from skdpipe.formats.catalogue import FORMATS, TARGETS, format_named, target_named
from skdpipe.formats.format import FormatOptions, refuse_useless


def test_formats_are_known_by_name() -> None:
    assert [format_named(each.name) for each in FORMATS] == list(FORMATS)
    assert [target_named(each.name) for each in TARGETS] == list(TARGETS)
    with pytest.raises(ConfigError, match="no format 'vicon'; expected one of cache, penn, ntu"):
        format_named("vicon")
    with pytest.raises(ConfigError, match="cannot write the format 'penn'; expected one of cache, pyskl"):
        target_named("penn")


def test_useless_options_are_refused() -> None:
    refuse_useless(FormatOptions(split="xsub", frames=5), [format_named("pyskl"), target_named("st-gcn")])
    with pytest.raises(ConfigError, match="penn cannot use --split: leave it out; expected --fps"):
        refuse_useless(FormatOptions(split="xsub"), [format_named("penn")])
    with pytest.raises(ConfigError, match="cache and coco cannot use --fps: leave it out; expected none"):
        refuse_useless(FormatOptions(fps=5), [format_named("cache"), target_named("coco")])
    with pytest.raises(ConfigError, match="size 0 5; expected a width and a height"):
        FormatOptions(size=(0, 5))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\n\nb\n", "3 lines, 1 of them empty and 3 different"),
        ("a\na", "2 lines, 0 of them empty and 1"),
        ("", "0 lines"),
    ],
)
def test_class_names_must_be_names(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(FormatError, match=message):
        _ = FormatOptions(labels=tmp_path / "names.txt").classes


def test_the_command_line_lists_every_format() -> None:
    """The cache is a source of `convert`; `import` writes it."""
    foreign = [each.name for each in FORMATS if each.name != "cache"]
    assert list(get_args(poses.ForeignFormat)) == foreign
    assert list(get_args(poses.SourceFormat)) == [each.name for each in FORMATS]
    assert list(get_args(poses.TargetFormat)) == [each.name for each in TARGETS if each.name != "cache"]


def test_the_command_line_has_every_option() -> None:
    options = frozenset().union(*(each.options for each in FORMATS))
    assert options <= signature(poses.import_).parameters.keys()
    options = options.union(*(each.options for each in TARGETS))
    assert options <= signature(poses.convert).parameters.keys()
