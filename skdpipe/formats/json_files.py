"""JSON text read and written, with errors that name the file."""

from __future__ import annotations

import json
import math
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import FormatError, in_brief
from skdpipe.regular_file import read_regular

_PACKED_LENGTH: Final = 30
_NUMBERS: Final = {int, float, type(None)}


def read_json(path: Path, expected: str) -> Any:
    """The content of a JSON file.

    Raises:
        FormatError: if the file cannot be read or is not JSON.
    """
    try:
        text = read_regular(path)
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected {expected}") from error
    return parse_json(text, path, expected)


def parse_json(text: str | bytes, where: object, expected: str) -> Any:
    """The value that JSON text stands for. NaN is read, which Python's tools write; infinity is not.

    Raises:
        FormatError: if the text is not JSON, or an object has a field twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_to_fields, parse_constant=_to_nan)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON ({error!s:.100}); expected {expected}") from error


def _to_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {in_brief(twice)} is there twice")
    return {name: _pack(value) for name, value in pairs}


def _pack(value: Any) -> Any:
    """A list of x, y, c of joints as an array, which takes an eighth of the memory; other values unchanged.

    Lists whose third value is an integer, a visibility flag, stay lists.
    """
    if type(value) is not list or len(value) < _PACKED_LENGTH or type(value[2]) is not float:
        return value
    if {*map(type, value)} <= {int, float}:
        with suppress(OverflowError):
            return array("f", value)
    return value


def _to_nan(constant: str) -> float:
    if constant != "NaN":
        raise ValueError(f"{constant} is not a number")
    return math.nan


def fields_of(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def to_numbers(value: object, axes: int = 1) -> NDArray[np.float32]:
    """A JSON list of finite numbers, NaN or null (as NaN) as an array; empty if it is not one.

    Args:
        value: the list.
        axes: number of axes of the array: lists within lists.
    """
    nothing = np.zeros(0, np.float32)
    is_packed = isinstance(value, array) and axes == 1
    if not is_packed and not _are_numbers(value, axes):
        return nothing
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(value, np.float32)
    except (ValueError, OverflowError):  # lists of different lengths, integers of hundreds of digits
        return nothing
    return nothing if np.isinf(numbers).any() else numbers


def _are_numbers(value: object, axes: int) -> bool:
    if not isinstance(value, list):
        return False
    if axes > 1:
        return all(_are_numbers(each, axes - 1) for each in value)
    return {*map(type, value)} <= _NUMBERS


def is_whole_number(value: object) -> TypeGuard[int]:
    """Whether a JSON value is an integer; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def to_json(content: object) -> bytes:
    """Compact JSON.

    Raises:
        FormatError: if a number is not finite.
    """
    try:
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise FormatError(f"a number that JSON cannot hold ({error!s:.60}); expected finite ones") from error
