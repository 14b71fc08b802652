"""JSON without NaN and infinity."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from skdpipe.strict_json import to_strict_json

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def refuse(constant: str) -> None:
    raise AssertionError(constant)


@given(plain)
def test_every_value_is_written_as_strict_json(value: object) -> None:
    json.loads(to_strict_json({"value": value}), parse_constant=refuse)


def test_what_is_not_finite_is_null_and_other_values_are_kept() -> None:
    values = {"a": [1.5, math.nan, (math.inf, -math.inf)], "b": {"c": 10**30, "d": "\ud800", "e": True}}
    assert json.loads(to_strict_json(values)) == {
        "a": [1.5, None, [None, None]],
        "b": {"c": 10**30, "d": "\ud800", "e": True},
    }
