"""JSON text that is checked as a whole against a type: what follows gets complete, finite values."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from skdpipe.errors import in_brief

LARGEST_JSON: Final = 24 << 20
"""Bytes of the largest text; a run's results need about 100 bytes per test clip and 600 per epoch."""

_MOST_COMPLAINTS: Final = 1000

T = TypeVar("T")


def parse_json(kind: TypeAdapter[T], text: str | bytes) -> T:
    """Read JSON text as a type; numbers are numbers, not text.

    Raises:
        ValueError: if it is not JSON, too large, or not of the type; the message is one short line.
    """
    if len(text) > LARGEST_JSON:
        raise ValueError(f"more than {LARGEST_JSON >> 20} MB of JSON")
    try:
        return kind.validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(complaint(error)) from error


def complaint(error: ValidationError) -> str:
    """The first value that is not valid, in one short line."""
    if error.error_count() > _MOST_COMPLAINTS:
        return f"{error.error_count()} values are not valid"
    problem: Any = error.errors(include_url=False, include_context=False)[0]
    message = f"{problem['msg']:.120}"
    if problem["type"] == "json_invalid":
        return message
    where = in_brief(".".join(map(str, problem["loc"])), 80).strip("'\"")
    found = "missing" if problem["type"] == "missing" else f"found {in_brief(problem['input'])}"
    return f"{where}: {found}; {message[0].lower()}{message[1:]}"
