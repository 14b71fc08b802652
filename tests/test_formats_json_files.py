"""JSON of foreign files: values that are read as numbers, and text that is refused in one line."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from skdpipe.errors import FormatError
from skdpipe.formats.json_files import parse_json, read_json, to_json, to_numbers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * 100_000, "recursion"),
        ('{"a":' * 100_000, "recursion"),
        ("9" * 5000, "limit"),
        ("Infinity", "Infinity is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ('{"a": 1, "b": 2, "a": 3}', "the field 'a' is there twice"),
        (b"\xff\xff", "codec can't decode"),
        (b"", "Expecting value"),
        (" " * 1_000_000, "Expecting value"),
    ],
)
def test_hostile_text_is_refused_in_one_line(text: str | bytes, found: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_json(text, "a.json", "a list")
    assert str(caught.value).startswith("a.json is not JSON (")
    assert found in str(caught.value)
    assert len(str(caught.value)) < 200


def test_nan_is_read() -> None:
    (value,) = parse_json("[NaN]", "a.json", "a list")
    assert math.isnan(value)


def test_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(FormatError, match=r"a.json cannot be read \(it is not a regular file\)"):
        read_json(tmp_path / "a.json", "a list")


def test_lists_of_numbers_are_arrays() -> None:
    np.testing.assert_array_equal(to_numbers([1, 2.5, None, math.nan]), [1, 2.5, np.nan, np.nan])
    np.testing.assert_array_equal(to_numbers([[1, 2], [3, 4]], axes=2), [[1, 2], [3, 4]])
    assert to_numbers([[1, 2], [3, 4]], axes=2).dtype == np.float32


@pytest.mark.parametrize(
    "value",
    [
        5,
        None,
        "12",
        {"a": 1},
        ["1", "2"],
        ["x" * 10_000_000, *[1] * 1000],
        [True, 1],
        [1e39],
        [10**400],
        [1, 1e400],
        [[1.0]],
        [[[[[[1.0]]]]]],
        [],
    ],
)
def test_other_values_are_no_numbers(value: object) -> None:
    assert to_numbers(value).size == 0


def test_lists_of_different_lengths_are_no_numbers() -> None:
    assert to_numbers([[1, 2], [3]], axes=2).size == 0


def test_json_that_is_written_is_finite() -> None:
    assert to_json({"name": "\ud800", "x": 1.5}) == b'{"name":"\\ud800","x":1.5}'
    with pytest.raises(FormatError, match="a number that JSON cannot hold"):
        to_json([math.nan])
