"""A check of a pickle before it is read: what it would build is bounded by the size of the file.

Python's reader trusts a pickle: a few bytes can reserve gigabytes, and a value that is nested deeply ends the
process where it is the key of a dictionary. The scan follows the stack of the pickle without creating
anything, in time proportional to its length, and permits only what writers of data produce. Which names a
pickle may call is checked by its reader.
"""

from __future__ import annotations

import mmap
import pickle
from typing import Final

from skdpipe.errors import FormatError

_MOST_MARKS: Final = 1_000
"""Containers that are open at a time; modules of torch in each other need about four for each level."""

_CONTAINERS: Final = 500_000
_BYTES_FOR_CONTAINER: Final = 20
"""A pickle may build ``_CONTAINERS`` and one more for each of so many bytes. A clip of PYSKL has about 30
in several thousand bytes."""

_SPARSE_MEMO: Final = 1_000
"""How far the memo's numbers may be ahead of twice its length; writers count without gaps."""

_LONGEST_NUMBER: Final = 10_000
"""Characters of a number that is written as text."""

_BYTES_OF_KEY: Final = 8  # a longer integer is not a key: distinct ones can have the same hash

# What is on the stack. Only atoms are keys, as hashes of tuples are recursive and can be made equal.
_ATOM, _LIST, _DICT, _SET, _TUPLE, _CALLABLE, _CALLED, _OTHER = range(1, 9)

_PUSHES: Final = {
    pickle.NONE: (_ATOM, 1),
    pickle.NEWTRUE: (_ATOM, 1),
    pickle.NEWFALSE: (_ATOM, 1),
    pickle.BININT: (_ATOM, 5),
    pickle.BININT1: (_ATOM, 2),
    pickle.BININT2: (_ATOM, 3),
    pickle.BINFLOAT: (_ATOM, 9),
    pickle.EMPTY_LIST: (_LIST, 1),
    pickle.EMPTY_DICT: (_DICT, 1),
    pickle.EMPTY_SET: (_SET, 1),
    pickle.EMPTY_TUPLE: (_TUPLE, 1),
}
"""What an opcode without content pushes, and its length with its argument."""

_CONTENTS: Final = {
    pickle.SHORT_BINUNICODE: (_ATOM, 1),
    pickle.BINUNICODE: (_ATOM, 4),
    pickle.BINUNICODE8: (_ATOM, 8),
    pickle.SHORT_BINBYTES: (_ATOM, 1),
    pickle.BINBYTES: (_ATOM, 4),
    pickle.BINBYTES8: (_ATOM, 8),
    pickle.SHORT_BINSTRING: (_ATOM, 1),
    pickle.BINSTRING: (_ATOM, 4),
    pickle.BYTEARRAY8: (_OTHER, 8),
    pickle.LONG1: (_OTHER, 1),
    pickle.LONG4: (_OTHER, 4),
}
"""What an opcode pushes whose content follows its length, and the bytes of that length."""

_TUPLES: Final = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}


def scan_pickle(data: bytes | mmap.mmap, start: int = 0, *, persistent: bool = False) -> int:
    """Check the pickle that begins at ``start``, and return the position behind it.

    Args:
        data: the file.
        start: where the pickle begins.
        persistent: whether it may refer to objects outside of it, as checkpoints of torch do.

    Raises:
        FormatError: if it is cut off, contains an instruction that data do not need, uses anything but text,
            bytes and plain numbers as a key, or would build far more than its size.
    """
    try:
        return _Scan(data, start, persistent).run()
    except (IndexError, ValueError) as error:  # behind the end of the file or of the stack, or no number
        raise FormatError("the pickle is cut off or damaged") from error


def _pushes(table: dict[bytes, tuple[int, int]], part: int) -> bytes:
    """A table by opcode: the first or second number, or 0."""
    return bytes(table.get(bytes([code]), (0, 0))[part] for code in range(256))


_KIND, _LENGTH = _pushes(_PUSHES, 0), _pushes(_PUSHES, 1)
_CONTENT_KIND, _CONTENT_WIDTH = _pushes(_CONTENTS, 0), _pushes(_CONTENTS, 1)


_MEMOIZE, _BINGET, _STOP = (opcode[0] for opcode in (pickle.MEMOIZE, pickle.BINGET, pickle.STOP))
_GETS = (_BINGET, pickle.LONG_BINGET[0])


class _Scan:
    """The state of a scan.

    Attributes:
        stack: what is on the stack since the last mark.
        marks: the stacks below it.
        memo: what was stored by number.
        containers: how many were built.
    """

    def __init__(self, data: bytes | mmap.mmap, start: int, persistent: bool) -> None:
        self.data, self.position, self.persistent = data, start, persistent
        self.stack: list[int] = []
        self.marks: list[list[int]] = []
        self.memo: dict[int, int] = {}
        self.containers = 0
        self.most_containers = _CONTAINERS + len(data) // _BYTES_FOR_CONTAINER

    def run(self) -> int:
        """Follow the pickle to its end."""
        data, memo, stack = self.data, self.memo, self.stack
        while True:
            code = data[self.position]
            if code == _MEMOIZE:
                memo[len(memo)] = stack[-1]
                self.position += 1
            elif _KIND[code]:
                kind = _KIND[code]
                stack.append(kind)
                self.position += _LENGTH[code]
                if kind != _ATOM:
                    self._count(4 if kind == _SET else 1)
            elif _CONTENT_KIND[code]:
                self._skip_content(code)
            elif code in _GETS:
                width = 1 if code == _BINGET else 4
                begin, self.position = self.position + 1, self.position + 1 + width
                stack.append(self._stored(int.from_bytes(data[begin : begin + width], "little")))
            elif code == _STOP:
                stack[-1]
                return self.position + 1
            else:
                self.position += 1
                self._follow(bytes([code]))
                stack = self.stack

    def _skip_content(self, code: int) -> None:
        width = _CONTENT_WIDTH[code]
        begin = self.position + 1 + width
        length = int.from_bytes(self.data[self.position + 1 : begin], "little")
        if begin + length > len(self.data):
            raise FormatError(f"the pickle announces {length} bytes, but ends before")
        is_key = _CONTENT_KIND[code] == _ATOM or (code != pickle.BYTEARRAY8[0] and length <= _BYTES_OF_KEY)
        self.stack.append(_ATOM if is_key else _OTHER)
        self.position = begin + length

    def _count(self, containers: int = 1) -> None:
        self.containers += containers
        if self.containers > self.most_containers:
            raise FormatError(
                f"the pickle builds over {self.most_containers} objects of {len(self.data)} bytes"
            )

    def _store(self, number: int) -> None:
        if number > 2 * len(self.memo) + _SPARSE_MEMO:
            raise FormatError(
                f"the pickle stores an object as number {number}, after {len(self.memo)} objects"
            )
        self.memo[number] = self.stack[-1]

    def _stored(self, number: int) -> int:
        kind = self.memo.get(number)
        if kind is None:
            raise FormatError("the pickle is damaged: it repeats an object that is not there")
        return kind

    def _integer(self, width: int) -> int:
        begin, self.position = self.position, self.position + width
        if self.position > len(self.data):
            raise IndexError
        return int.from_bytes(self.data[begin : self.position], "little")

    def _line(self) -> int:
        """The length of a line, which is skipped."""
        begin, end = self.position, self.data.find(b"\n", self.position)
        if end < 0:
            raise IndexError
        self.position = end + 1
        return end - begin

    def _line_of_number(self) -> int:
        length = self._line()
        if length > _LONGEST_NUMBER:
            raise FormatError(
                f"the pickle has a number of {length} characters; expected {_LONGEST_NUMBER} at most"
            )
        return length

    def _number(self) -> int:
        begin = self.position
        return int(self.data[begin : begin + self._line_of_number()])

    def _pop_mark(self) -> list[int]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _follow(self, opcode: bytes) -> None:
        """Follow the rarer opcodes, whose argument begins at the position."""
        stack = self.stack
        match opcode:
            case pickle.MARK:
                self.marks.append(stack)
                self.stack = []
                if len(self.marks) > _MOST_MARKS:
                    raise FormatError(f"the pickle nests more than {_MOST_MARKS} objects in each other")
            case pickle.TUPLE:
                self._pop_mark()
                self._push_built(_TUPLE)
            case pickle.TUPLE1 | pickle.TUPLE2 | pickle.TUPLE3:
                for _ in range(_TUPLES[opcode]):
                    stack.pop()
                self._push_built(_TUPLE)
            case pickle.LIST:
                self._pop_mark()
                self._push_built(_LIST)
            case pickle.DICT:
                _require_keys(self._pop_mark()[::2])
                self._push_built(_DICT)
            case pickle.FROZENSET:
                _require_keys(self._pop_mark())
                self._push_built(_OTHER)
            case pickle.REDUCE | pickle.NEWOBJ:
                self._call()
            case pickle.NEWOBJ_EX:
                _require(stack.pop() == _DICT, "passes arguments by name")
                self._call()
            case pickle.BUILD:
                stack.pop()
                _require(stack[-1] != _CALLABLE, "changes a function; do not trust this file")
                _require(stack[-1] == _CALLED, "changes a plain value")
            case pickle.APPEND:
                stack.pop()
                _require(stack[-1] == _LIST, "appends to what is no list")
            case pickle.APPENDS:
                self._pop_mark()
                _require(self.stack[-1] == _LIST, "appends to what is no list")
            case pickle.SETITEM:
                stack.pop()
                _require_keys([stack.pop()])
                _require(stack[-1] in (_DICT, _CALLED), "sets items of what is no dictionary")
            case pickle.SETITEMS:
                _require_keys(self._pop_mark()[::2])
                _require(self.stack[-1] in (_DICT, _CALLED), "sets items of what is no dictionary")
            case pickle.ADDITEMS:
                _require_keys(self._pop_mark())
                _require(self.stack[-1] == _SET, "adds to what is no set")
            case pickle.GLOBAL:
                self._line()
                self._line()
                stack.append(_CALLABLE)
            case pickle.STACK_GLOBAL:
                stack.pop()
                stack[-1] = _CALLABLE
            case pickle.BINPERSID if self.persistent:
                stack[-1] = _CALLABLE  # a storage, or a class in files of torch before 1.6
            case pickle.BINPUT:
                self._store(self._integer(1))
            case pickle.LONG_BINPUT:
                self._store(self._integer(4))
            case pickle.GET:
                stack.append(self._stored(self._number()))
            case pickle.PUT:
                self._store(self._number())
            case pickle.INT | pickle.LONG | pickle.FLOAT:
                self._push_text_number(opcode)
            case pickle.STRING | pickle.UNICODE:
                self._line()
                stack.append(_ATOM)
            case pickle.POP:
                stack.pop() if stack else self._pop_mark()
            case pickle.POP_MARK:
                self._pop_mark()
            case pickle.DUP:
                stack.append(stack[-1])
            case pickle.PROTO:
                self._integer(1)
            case pickle.FRAME:
                length = self._integer(8)
                _require(self.position + length <= len(self.data), "is cut off in a frame")
            case _:
                raise FormatError(f"the pickle has the instruction {opcode!r}, which data do not need")

    def _push_built(self, kind: int) -> None:
        self.stack.append(kind)
        self._count()

    def _call(self) -> None:
        _require(self.stack.pop() == _TUPLE, "calls without a tuple of arguments")
        _require(self.stack[-1] == _CALLABLE, "calls what is no function")
        self.stack[-1] = _CALLED
        self._count()

    def _push_text_number(self, opcode: bytes) -> None:
        is_key = self._line_of_number() <= len(str(2**63)) or opcode == pickle.FLOAT
        self.stack.append(_ATOM if is_key else _OTHER)


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise FormatError(f"the pickle {otherwise}")


def _require_keys(kinds: list[int]) -> None:
    if max(kinds, default=_ATOM) != _ATOM:
        raise FormatError("the pickle has a key that is no text, bytes or number of 64 bits")
