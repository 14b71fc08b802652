"""Values whose pickle is a function call, and small pickles that would take all of the memory or stack."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any


class PickledCall:
    """A plain `pickle.load` of this value calls the function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def create_file(path: Path) -> PickledCall:
    """A value whose execution would create the file."""
    return PickledCall(os.system, f"touch {path}")


def share_itself(levels: int = 40) -> list[Any]:
    """A list of ten times one list of ten times one list, and so on: its text would never end."""
    shared: list[Any] = []
    for _ in range(levels):
        shared = [shared] * 10
    return shared


START = b"\x80\x02"

OUT_OF_BOUNDS = {
    "deep key": (START + b"})" + b"\x85" * 200_000 + b"Ns.", "a key that is no text"),
    "deep value": (START + b")" + b"\x85" * 1_000_000 + b".", "builds over"),
    "marks": (START + b"(" * 100_000 + b"t" * 100_000 + b".", "nests more than"),
    "memo": (START + b"Nr" + struct.pack("<I", 0x7FFFFFFF) + b".", "stores an object as number 2147483647"),
    "memo in text": (START + b"Np2000000000\n.", "stores an object as number 2000000000"),
    "frame": (b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.", "cut off in a frame"),
    "text": (b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"N.", "announces 1099511627776 bytes"),
    "bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"N.", "but ends before"),
    "bytearray": (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"N.", "but ends before"),
    "number": (b"I" + b"9" * 100_000 + b"\n.", "number of 100000 characters"),
    "same hashes": (
        START
        + b"}("
        + b"".join(b"\x8a\x09" + ((2**61 - 1) * k).to_bytes(9, "little") + b"N" for k in range(1, 300))
        + b"u.",
        "a key that is no text",
    ),
    "extension": (b"\x80\x02\x82\x01.", "the instruction"),
    "sets": (b"(" + b"\x8f" * 500_000 + b"l.", "builds over"),
    "nothing repeated": (START + b"h\x00.", "repeats an object that is not there"),
}
"""Pickles that a scan refuses, with a part of its message."""
