"""Pickles of arrays and builtin values, read without executing anything in them.

A pickle is a program, which Python's own reader executes. It is scanned before (`skdpipe.pickle_scan`). The
reader here imports no name: the few names that build arrays and containers are mapped to functions of this
module, which check their arguments and may copy only a multiple of the file, and every other name is refused
before it is imported. Objects of other classes and arrays of records are therefore
refused. Arrays of objects may hold any of the permitted values; `to_number_array` makes arrays of numbers of
them.
"""

from __future__ import annotations

import mmap
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import FormatError, in_brief
from skdpipe.pickle_scan import scan_pickle
from skdpipe.regular_file import require_regular

_DTYPE = re.compile(r"[<>|=]?([biuf][1248]|[SU]\d{0,6}|\?)")
_OBJECTS = re.compile(r"\|?O8?")

_COPIES: Final = 4  # of the file's size that calls in a pickle may copy; a call has its own content
_SMALL: Final = 1_000_000  # bytes that they may copy of any file

_MOST_REPEATED: Final = 1_000_000
"""Numbers of an array that is made of arrays, if one of them is in several places."""


def load_plain(path: Path) -> Any:
    """The value of a pickle: numbers, text, bytes, containers, and numpy arrays of numbers or text.

    Pickles of Python 2 and of numpy 1 and 2 are read, in any protocol.

    Raises:
        FormatError: if the file cannot be read, is not a pickle, or names anything else; the message contains
            the name.
    """
    try:
        require_regular(path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            _scan(file, size)
            return _PlainUnpickler(file, _Allowance(_COPIES * size + _SMALL)).load()
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected a pickle") from error
    except Exception as error:  # a damaged or hostile pickle can make the reader raise any error
        found = " ".join(f"{type(error).__name__}: {error}".split())
        raise FormatError(
            f"{path} is not a pickle of plain values ({found:.120}); download the file again"
        ) from error


def _scan(file: IO[bytes], size: int) -> None:
    if not size:
        raise FormatError("not a pickle of plain values (an empty file); download the file again")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            scan_pickle(content)
        except FormatError as error:
            raise FormatError(f"not a pickle of plain values ({error}); download the file again") from error


def to_number_array(value: object) -> NDArray[Any] | None:
    """The array of numbers that a value of a pickle is, or None.

    An array of objects is one if all objects are numbers, or all are arrays of numbers of the same shape,
    whose axes follow those of the array of objects. A large array may not be in several places.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind in "biuf":
        return value if isinstance(value, np.ndarray) else None
    items = list(value.flat) if value.dtype.kind == "O" else []
    if not items:
        return None
    if all(isinstance(each, int | float | np.number | np.bool_) for each in items):
        try:
            return np.array(items, np.float64).reshape(value.shape)
        except (OverflowError, TypeError, ValueError):  # huge integers, complex numbers
            return None
    first = items[0]
    if (
        isinstance(first, np.ndarray)
        and (first.size * len(items) <= _MOST_REPEATED or len(set(map(id, items))) == len(items))
        and all(
            isinstance(each, np.ndarray) and each.dtype.kind in "biuf" and each.shape == first.shape
            for each in items
        )
    ):
        return np.stack(items).reshape(value.shape + first.shape)
    return None


def dump_plain(value: object, file: IO[bytes]) -> None:
    """Write a pickle whose arrays numpy 1 and 2 can read: the only numpy name in it is ``ndarray``."""
    _PlainPickler(file, protocol=4).dump(value)


class _PlainPickler(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:
        if not isinstance(value, np.ndarray):
            return NotImplemented
        assert not value.dtype.hasobject
        # From a bytearray, so that the array that is read is writeable.
        return np.ndarray, (value.shape, value.dtype.str, bytearray(value.tobytes()))


class _Allowance:
    """How many bytes the calls in a pickle may still copy."""

    def __init__(self, left: int) -> None:
        self._left = left

    def charge(self, arguments: Iterable[object]) -> None:
        """Count the content in the arguments of a call.

        Raises:
            FormatError: if it is more than is left.
        """
        for each in arguments:
            if isinstance(each, str | bytes | bytearray | list | set | frozenset | dict):
                self._left -= len(each)
        if self._left < 0:
            raise FormatError(
                "the pickle copies its content many times; expected a use of each: do not trust it"
            )


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], allowance: _Allowance) -> None:
        super().__init__(file, encoding="latin1")
        self._allowance = allowance

    def find_class(self, module: str, name: str) -> Any:
        permitted = _PERMITTED.get(f"{module}.{name}")
        if permitted is None:
            raise FormatError(
                f"the pickle names {module:.60}.{name:.60} and could run it; expected only arrays and "
                "builtin containers: do not trust this file, or write it again without objects"
            )
        return _Permitted(permitted, self._allowance)


class _Permitted:
    """A function that a pickle may call but not change."""

    __slots__ = ("_allowance", "_function")

    def __init__(self, function: Callable[..., Any], allowance: _Allowance) -> None:
        self._function, self._allowance = function, allowance

    def __call__(self, *arguments: object) -> Any:
        self._allowance.charge(arguments)
        made = self._function(*arguments)
        if isinstance(made, _UnfilledArray):
            made.allowance = self._allowance
        elif isinstance(made, np.ndarray):
            made.flags.writeable = False  # a pickle could set its items
        return made


class _PlainDtype:
    """A dtype of numbers or text under construction; numpy's own dtype would accept inconsistent states."""

    __slots__ = ("_code",)

    def __init__(self, code: object, *align_and_copy: object) -> None:
        # Numpy writes the last two for every array; without them a type of objects is not of its making.
        known = (_DTYPE, _OBJECTS) if align_and_copy else (_DTYPE,)
        if not isinstance(code, str) or not any(each.fullmatch(code) for each in known):
            raise FormatError(f"the pickle has an array of type {in_brief(code)}; expected numbers or text")
        self._code = code

    def __setstate__(self, state: Any) -> None:
        _, order, *structure = state
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure[:3]):
            raise FormatError("the pickle has an array of records; expected numbers or text")
        self._code = order + self._code.lstrip("<>|=")

    @property
    def code(self) -> str:
        return self._code

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self._code)


class _UnfilledArray(np.ndarray):
    """An array whose content follows later in the pickle, once."""

    allowance: _Allowance

    def __setstate__(self, state: Any) -> None:
        if not self.flags.writeable:
            raise FormatError("the pickle fills an array twice; expected once")
        self.allowance.charge(state)
        _, shape, dtype, fortran, content = state
        if isinstance(dtype, _PlainDtype) and dtype.numpy.hasobject:
            array = _array_of_objects(shape, content)
            content = list(array.flat)
        else:
            array = _array(shape, dtype, content, "F" if fortran is True else "C")
            content = array.tobytes()
        super().__setstate__((1, array.shape, array.dtype, False, content))  # type: ignore[arg-type]
        self.flags.writeable = False


def _array(shape: Any, dtype: Any, content: Any, order: str = "C") -> NDArray[Any]:
    dtype = dtype if isinstance(dtype, _PlainDtype) else _PlainDtype(dtype)
    if dtype.numpy.hasobject:
        raise FormatError(
            f"the pickle has an array of type {dtype.code!r} in bytes; expected numbers or text"
        )
    content = content.encode("latin1") if isinstance(content, str) else content  # of Python 2
    if not isinstance(content, bytes | bytearray) or not isinstance(shape, tuple):
        raise FormatError(f"the pickle has an array of {type(content).__name__}; expected numbers or text")
    array = np.frombuffer(content, dtype.numpy) if content else np.empty(0, dtype.numpy)
    return array.reshape(shape, order="F" if order == "F" else "C").copy()


def _array_of_objects(shape: Any, items: Any) -> NDArray[Any]:
    if not isinstance(items, list) or not isinstance(shape, tuple):
        raise FormatError(f"the pickle has an array of {type(items).__name__}; expected numbers or text")
    if any(isinstance(item, np.ndarray) and (item.dtype.hasobject or item.flags.writeable) for item in items):
        raise FormatError("the pickle has arrays of objects in each other; expected numbers or text")
    array = np.empty(len(items), object)
    for number, item in enumerate(items):
        array[number] = item
    return array.reshape(shape)  # numpy writes objects row by row, whatever the memory order


def _empty_array(*_class_shape_and_type: object) -> NDArray[Any]:
    return _UnfilledArray(0, np.uint8)


def _array_from_buffer(
    content: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None
) -> NDArray[Any]:
    array = _array(shape, dtype, content, order)
    return array if axis_order is None else array.transpose(axis_order).copy()  # numpy 2.4, order K


def _scalar(dtype: Any, content: Any) -> Any:
    return _array((), dtype, content)[()]


def _latin1(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise FormatError(f"the pickle uses the codec {in_brief(encoding)}; expected latin1")
    return text.encode("latin1")


def _bytes(content: object = b"") -> bytes:
    return bytes(_as_bytes(content))


def _bytearray(content: object = b"") -> bytearray:
    return bytearray(_as_bytes(content))


def _as_bytes(content: object) -> bytes | bytearray:
    if not isinstance(content, bytes | bytearray):
        raise FormatError(f"the pickle has bytes of {type(content).__name__}; expected their content")
    return content


def _set(members: Iterable[Any] = ()) -> set[Any]:
    return set(_atoms(members))


def _frozenset(members: Iterable[Any] = ()) -> frozenset[Any]:
    return frozenset(_atoms(members))


def _atoms(members: Iterable[Any]) -> list[Any]:
    atoms = list(members)
    if not all(_is_atom(each) for each in atoms):
        raise FormatError("the pickle has a set of other objects; expected text, bytes or numbers of 64 bits")
    return atoms


def _is_atom(value: object) -> bool:
    """Whether a value can be a key: hashes of others are recursive, or can be made equal."""
    if isinstance(value, int):
        return value.bit_length() <= 64
    return value is None or isinstance(value, str | bytes | float | np.generic)


class _OrderedDict(OrderedDict[Any, Any]):
    """One whose attributes a pickle cannot set."""

    def __init__(self, pairs: Iterable[Any] = ()) -> None:
        super().__init__()
        for key, value in pairs:  # of Python 2; Python 3 adds them later
            (atom,) = _atoms([key])
            self[atom] = value

    def __setstate__(self, state: object) -> None:
        """Leave out attributes, which are not items."""


_BUILTINS: dict[str, Callable[..., Any]] = {
    "bytearray": _bytearray,
    "bytes": _bytes,
    "frozenset": _frozenset,
    "set": _set,
}
_NUMPY: dict[str, Callable[..., Any]] = {
    "multiarray._reconstruct": _empty_array,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _array_from_buffer,
}
_PERMITTED: dict[str, Callable[..., Any]] = {
    "_codecs.encode": _latin1,
    "collections.OrderedDict": _OrderedDict,
    "numpy.dtype": _PlainDtype,
    "numpy.ndarray": _array,
    **{
        f"{module}.{name}": call for module in ("builtins", "__builtin__") for name, call in _BUILTINS.items()
    },
    **{f"numpy.{core}.{name}": call for core in ("core", "_core") for name, call in _NUMPY.items()},
}
