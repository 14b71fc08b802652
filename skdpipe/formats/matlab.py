"""MATLAB files of version 5 (``save`` before ``-v7.3``): arrays of numbers and text, read within bounds.

The layout of the bytes is that of "MAT-File Format" (MathWorks): a header of 128 bytes, then one element for
each variable, mostly compressed. An element is a tag (type, length) and its content; that of a variable has
flags with the class, the dimensions, the name, and the numbers, which may be stored in a smaller type than
the class. Cells, structures, objects, sparse and complex arrays are not read. Scipy's compiled reader trusts
the lengths in a file, and a damaged one can end the process.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import FormatError
from skdpipe.regular_file import read_regular

LARGEST_CONTENT: Final = 20_000_000
"""Bytes of a file, and of its variables after decompression; an annotation of Penn Action has at most
500,000, a recording of UTD-MHAD 100,000."""

_MOST_VARIABLES: Final = 1_000
_MOST_AXES: Final = 32

_HEADER: Final = 128
_Order = Literal["<", ">"]
_BYTE_ORDERS: Final[dict[bytes, _Order]] = {b"IM": "<", b"MI": ">"}

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS: Final = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""How the numbers of an array are stored, by the type of their element."""
_CLASSES_OF_NUMBERS: Final = range(6, 16)
_TEXT_CLASS: Final = 4
_TEXTS: Final = {1: "latin1", 2: "latin1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""Encodings of text by the type of its element."""
_COMPLEX: Final = 0x0800


def read_matlab(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """The variables of these names that a file has: text without axes, and arrays of numbers as they are
    stored, which may be in a smaller type than in MATLAB.

    Raises:
        OSError: if the file cannot be read, or is too large.
        FormatError: if it is damaged or not of version 5, holds more than 20 MB, or one of the variables is
            neither numbers nor one line of text; without the path.
    """
    content = memoryview(read_regular(path, LARGEST_CONTENT))
    found: dict[str, NDArray[Any]] = {}
    for name, value in _variables(content, names):
        if name in found:
            raise FormatError(f"{name} twice")
        found[name] = value
    return found


def _variables(content: memoryview, names: Collection[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    order = _BYTE_ORDERS.get(bytes(content[126:128]))
    if order is None or bytes(content[:4]) == b"\x00" * 4:
        raise FormatError("no header of MATLAB 5")
    version = struct.unpack_from(f"{order}H", content, 124)[0]
    if version != 0x0100:
        raise FormatError(f"version {version:#06x} of the format instead of 0x0100 (save with -v7)")
    position, left = _HEADER, LARGEST_CONTENT
    for _ in range(_MOST_VARIABLES):
        if position == len(content):
            return
        kind, length = _tag(content, position, order)
        begin, position = position + 8, position + 8 + length
        if position > len(content):
            raise FormatError("a variable that is cut off")
        body = content[begin:position]
        if kind == _COMPRESSED:
            kind, body = _decompress(body, order, left)
            left -= len(body)
        if kind == _MATRIX:
            yield from _variable(body, order, names)
    raise FormatError(f"more than {_MOST_VARIABLES} variables")


def _decompress(body: memoryview, order: _Order, most: int) -> tuple[int, memoryview]:
    """Type and content of the element that is compressed, of at most so many bytes."""
    stream = zlib.decompressobj()
    try:
        start = stream.decompress(body, 8)
        kind, length = _tag(memoryview(start), 0, order)
        if length > most:
            raise FormatError(f"variables of more than {LARGEST_CONTENT} bytes")
        # The streams of some files end without a checksum.
        element = stream.decompress(stream.unconsumed_tail, length) if length else b""
    except zlib.error as error:
        raise FormatError(f"a variable that cannot be decompressed ({error})") from error
    if len(element) != length:
        raise FormatError("a compressed variable that is cut off")
    return kind, memoryview(element)


def _tag(content: memoryview, position: int, order: _Order) -> tuple[int, int]:
    if position + 8 > len(content):
        raise FormatError("an element that is cut off")
    kind, length = struct.unpack_from(f"{order}II", content, position)
    return int(kind), int(length)


def _parts(body: memoryview, order: _Order) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element of a variable; after the fourth, none is needed."""
    position = 0
    for _ in range(4):
        kind, length = _tag(body, position, order)
        if kind >> 16:  # up to four bytes are stored in the tag itself
            kind, length = kind & 0xFFFF, kind >> 16
            begin, step = position + 4, 8
        else:
            begin, step = position + 8, 8 + -(-length // 8) * 8
        if begin + length > len(body) or (step == 8 and length > 4):
            raise FormatError("an element that is cut off")
        yield kind, body[begin : begin + length]
        position += step


def _variable(body: memoryview, order: _Order, names: Collection[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and value of a variable, if it is one of these."""
    parts = _parts(body, order)
    flags = _numbers(*next(parts), order)
    if len(flags) != 2:
        raise FormatError("a variable without flags")
    axes = _numbers(*next(parts), order)
    name = _text(*next(parts), order)
    if name not in names:
        return
    code = int(flags[0]) & 0xFF
    if (code not in _CLASSES_OF_NUMBERS and code != _TEXT_CLASS) or int(flags[0]) & _COMPLEX:
        raise FormatError(f"{name} of MATLAB's class {code}, expected numbers or text")
    if not 2 <= len(axes) <= _MOST_AXES or int(axes.min()) < 0:
        raise FormatError(f"{name} of {len(axes)} dimensions")
    shape = tuple(int(axis) for axis in axes)
    kind, stored = next(parts)
    if code == _TEXT_CLASS:
        text = _text(kind, stored, order)
        if shape[0] > 1 or math.prod(shape) != len(text):
            raise FormatError(
                f"{name} of shape {shape} and {len(text)} characters, expected one line of text"
            )
        yield name, np.array(text)
        return
    values = _numbers(kind, stored, order)
    if math.prod(shape) != values.size:
        raise FormatError(f"{name} of shape {shape} and {values.size} numbers")
    yield name, values.astype(values.dtype.newbyteorder("=")).reshape(shape, order="F")


def _numbers(kind: int, content: memoryview, order: _Order) -> NDArray[Any]:
    stored = _NUMBERS.get(kind)
    if stored is None or len(content) % int(stored[1]):
        raise FormatError(f"numbers of type {kind} in {len(content)} bytes")
    return np.frombuffer(content, np.dtype(stored).newbyteorder(order))


def _text(kind: int, content: memoryview, order: _Order) -> str:
    encoding = _TEXTS.get(kind)
    if encoding is None:
        raise FormatError(f"text of type {kind}")
    side = {"<": "-le", ">": "-be"}[order] if encoding in {"utf-16", "utf-32"} else ""
    try:
        return bytes(content).decode(encoding + side)
    except UnicodeDecodeError as error:
        raise FormatError(f"text that is not {encoding}") from error
