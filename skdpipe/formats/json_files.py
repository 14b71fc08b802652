"""JSON text read and written, with errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import FormatError


def read_json(path: Path, expected: str) -> Any:
    """The content of a JSON file.

    Raises:
        FormatError: if the file cannot be read or is not JSON.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected {expected}") from error
    return parse_json(text, path, expected)


def parse_json(text: str | bytes, where: object, expected: str) -> Any:
    """The value that JSON text stands for.

    Raises:
        FormatError: if the text is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON ({error!s:.60}); expected {expected}") from error


def fields_of(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def to_numbers(value: object) -> NDArray[np.float32]:
    """A JSON list of numbers as an array; empty if it is not one."""
    try:
        return np.array(value, np.float32)
    except (TypeError, ValueError, OverflowError):
        return np.zeros(0, np.float32)


def to_json(content: object) -> bytes:
    """Compact JSON."""
    return json.dumps(content, separators=(",", ":")).encode()
