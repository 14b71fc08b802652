"""Safetensors: which format a file states, and whether it is as it was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from skdpipe.errors import DataError
from skdpipe.info.description import Fact
from skdpipe.tensor_file import TensorFileError, all_finite, read_header, read_tensors

_CHECKSUM: Final = "sha256"
_LARGEST_HEADER: Final = 32 << 20  # bytes; a bundle's is that of its record of the training


def is_tensor_file(path: Path, start: bytes) -> bool:
    """Whether a file with these first bytes is safetensors, perhaps a damaged one.

    Raises:
        DataError: if it is named so and cannot be.
    """
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and length <= _LARGEST_HEADER:
        return True
    if path.suffix == ".safetensors":
        raise DataError(
            f"{path}: damaged or no safetensors (a header of {length:,} bytes, of a file of "
            f"{path.stat().st_size:,}); expected a file of skdpipe: copy it again"
        )
    return False


def format_in(path: Path) -> str:
    """The format that a file of tensors states, also if its tensors are damaged; empty if it states none.

    Raises:
        DataError: if it has no complete header.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LARGEST_HEADER)))
        return str(header.get("__metadata__", {}).get("format", ""))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path}: damaged: its header of {length:,} bytes cannot be read; copy it again"
        ) from error


def is_format(path: Path, expected: str) -> bool:
    """Whether a file of tensors states a format, in any version of it."""
    try:
        return format_in(path).rpartition("-")[0] == expected.rpartition("-")[0]
    except DataError:
        return False


def check_tensors(path: Path, remedy: str) -> tuple[Fact, str]:
    """Read all tensors of a network: a fact about the checksum, and what is wrong; empty if nothing is.

    Args:
        path: a file whose header can be read.
        remedy: what to do about a damaged file.
    """
    has_checksum = _CHECKSUM in read_header(path).metadata
    try:
        tensors = read_tensors(path)
    except TensorFileError as error:
        return Fact("intact", False, "no"), f"{path}: damaged ({error}); {remedy}"
    if not all_finite(tensors):
        return Fact("intact", False, "no"), f"{path}: damaged (values that are not finite); {remedy}"
    return checksum_fact(has_checksum), ""


def checksum_fact(has_checksum: bool) -> Fact:
    """The fact about a file that is not damaged."""
    if not has_checksum:
        return Fact("intact", None, "complete; an earlier version wrote it without a checksum")
    return Fact("intact", True, "yes, it has the checksum that it states")
