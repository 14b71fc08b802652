"""Torch checkpoints of whole modules, read without running what they say.

A pickle is a program that may name any function of any module and call it. This reader knows a short list
of names, and even those it neither imports nor calls: every object becomes a `Record` of its name, its
arguments and its state. What a tensor is, and where its numbers lie, is worked out from the records
afterwards. Both layouts of ``torch.save`` are read: the zip archive, and the plain file of torch before 1.6.
"""

from __future__ import annotations

import math
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Final, NamedTuple

import torch
from torch import Tensor

from skdpipe.errors import PoseError

_STORAGES: Final = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_MODULES: Final = ("torch.nn.", "torchvision.models.", "torchvision.ops.", "openpifpaf.")
_TENSOR: Final = "torch._utils._rebuild_tensor_v2"
_PARAMETER: Final = "torch._utils._rebuild_parameter"
# What else stands in a checkpoint: a training's settings, and numpy's numbers in the description of a pose.
_PLAIN: Final = {
    _TENSOR,
    _PARAMETER,
    "torch.device",
    "torch.Size",
    "argparse.Namespace",
    "functools.partial",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "_codecs.encode",
}
_BUILTINS: Final = {"builtins", "__builtin__"}
_MAGIC: Final = 0x1950A86A20F9469CFC6C  # the number that torch before 1.6 put first
_PROTOCOL: Final = 1001
_DEEPEST: Final = 64  # modules within modules


class Record:
    """An object that was not made: what it was called with and the state that it would have got.

    Attributes:
        path: module and name of the class or function.
        arguments: positional arguments.
        state: what ``__setstate__`` would have been given; of a module, its ``__dict__``.
    """

    path: ClassVar[str] = ""

    def __new__(cls, *arguments: Any, **named: Any) -> Record:
        record = object.__new__(cls)
        record.arguments, record.state = arguments, named
        return record

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments: tuple[Any, ...]
        self.state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def kind(self) -> str:
        """The name without the module."""
        return self.path.rsplit(".", 1)[-1]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute of the object that was not made."""
        return self.state.get(name, default) if isinstance(self.state, Mapping) else default

    def children(self) -> Mapping[str, Any]:
        """Of a module, the modules directly in it."""
        return _mapping(self.get("_modules"))


class _Storage(NamedTuple):
    key: str
    dtype: torch.dtype
    length: int


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says.

    Attributes:
        content: dicts, lists and numbers as they were saved, every other object a `Record`.
    """

    content: Any
    _read: Callable[[_Storage], Tensor]

    def tensors(self, module: Record) -> dict[str, Tensor]:
        """What ``state_dict`` of the module would have given.

        Raises:
            ValueError: if a parameter or buffer is not a tensor that lies within its numbers.
        """
        found = {}
        for prefix, record in modules(module):
            left_out = record.get("_non_persistent_buffers_set") or ()
            held = {**_mapping(record.get("_parameters")), **_mapping(record.get("_buffers"))}
            for name, value in held.items():
                if value is not None and name not in left_out:
                    found[f"{prefix}.{name}" if prefix else name] = self._tensor(value)
        return found

    def _tensor(self, value: Any) -> Tensor:
        if isinstance(value, Record) and value.path == _PARAMETER and value.arguments:
            value = value.arguments[0]
        if not isinstance(value, Record) or value.path != _TENSOR or len(value.arguments) < 4:
            raise ValueError("a parameter that is no tensor")
        storage, offset, size, stride = value.arguments[:4]
        numbers = [offset, *size, *stride]
        if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError("a tensor without numbers")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) > storage.length or last >= max(1, storage.length):
            raise ValueError("a tensor that is larger than its numbers")
        return torch.as_strided(self._read(storage), size, stride, offset).clone()


def modules(root: Record, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Record]]:
    """A module and all within it with their names, in the order of ``named_modules``.

    Raises:
        ValueError: if something else stands where a module should, or modules go round in a circle.
    """
    if not isinstance(root, Record) or depth > _DEEPEST:
        raise ValueError("a module that is none, or that holds itself")
    yield prefix, root
    for name, child in root.children().items():
        if child is not None:
            yield from modules(child, f"{prefix}.{name}" if prefix else name, depth + 1)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file that ``torch.save`` wrote; nothing in it is executed.

    Raises:
        PoseError: if it is no such file, is cut short, or names anything but tensors and plain modules.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_plain(path)
    except _RefusedError as refused:
        raise PoseError(
            f"{path} asks for {refused}, which no checkpoint of a network needs; it was refused before it ran"
        ) from refused
    except OSError:
        raise
    except Exception as error:  # bytes that are no pickle fail in as many ways as there are instructions
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise PoseError(f"{path} is not an OpenPifPaf checkpoint ({reason}); fetch it again") from error


class _RefusedError(Exception):
    """Of a name that is not on the list."""


class _Unpickler(pickle.Unpickler):
    """Makes records; the classes are new for every file, so that no file can change those of another."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="utf-8")
        self._known: dict[str, type[Record]] = {}
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        path = f"{module}.{name}"
        if path == "collections.OrderedDict":
            return OrderedDict
        if module in _BUILTINS and name in {"set", "frozenset"}:
            return {"set": set, "frozenset": frozenset}[name]
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if "." in name or not (path in _PLAIN or module.startswith(_MODULES)):
            raise _RefusedError(path)
        if path not in self._known:
            self._known[path] = type(name, (Record,), {"path": path})
        return self._known[path]

    def persistent_load(self, pid: Any) -> Any:
        kind, what, *rest = pid
        if kind == "module":  # torch before 1.6 kept the source of each class beside it
            return what
        key, _, length, *view = rest
        if kind != "storage" or not isinstance(what, torch.dtype) or type(length) is not int or any(view):
            raise ValueError("numbers that are kept in an unknown way")
        return self.storages.setdefault(str(key), _Storage(str(key), what, length))


def _read_zip(path: Path) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed numbers")
        if f"{folder}byteorder" in archive.namelist():
            _check_order(archive.read(f"{folder}byteorder") == b"little")
        with archive.open(pickled) as file:
            content = _Unpickler(file).load()

    def read(storage: _Storage) -> Tensor:
        with zipfile.ZipFile(path) as archive:
            return _numbers(archive.read(f"{folder}data/{storage.key}"), storage)

    return Checkpoint(content, read)


def _read_plain(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        if (_Unpickler(file).load(), _Unpickler(file).load()) != (_MAGIC, _PROTOCOL):
            raise ValueError("no checkpoint of torch")
        _check_order(_Unpickler(file).load()["little_endian"] is True)
        unpickler = _Unpickler(file)
        content = unpickler.load()
        places: dict[str, int] = {}
        for key in _Unpickler(file).load():
            storage = unpickler.storages[key]
            if int.from_bytes(file.read(8), "little") != storage.length:
                raise ValueError("a length that is said in two ways")
            places[key] = file.tell()
            file.seek(storage.length * storage.dtype.itemsize, 1)
        if file.tell() > path.stat().st_size:
            raise ValueError("fewer numbers than it says")

    def read(storage: _Storage) -> Tensor:
        with path.open("rb") as file:
            file.seek(places[storage.key])
            return _numbers(file.read(storage.length * storage.dtype.itemsize), storage)

    return Checkpoint(content, read)


def _check_order(little: bool) -> None:
    if not little or sys.byteorder != "little":
        raise ValueError("numbers in another order of bytes")


def _numbers(content: bytes, storage: _Storage) -> Tensor:
    if len(content) != storage.length * storage.dtype.itemsize:
        raise ValueError("fewer numbers than it says")
    if not content:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(bytearray(content), dtype=storage.dtype)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
