"""JSON as the standard defines it, which every reader understands: without NaN and infinity."""

from __future__ import annotations

import json
import math


def to_strict_json(value: object, indent: int | None = None) -> str:
    """The JSON text of plain values in ASCII; a number that is not finite is null.

    >>> to_strict_json({"top1": float("nan"), "clips": (1, 2)})
    '{"top1": null, "clips": [1, 2]}'
    """
    return json.dumps(_with_null(value), indent=indent, allow_nan=False)


def _with_null(value: object) -> object:
    if isinstance(value, dict):
        return {name: _with_null(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_null(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
