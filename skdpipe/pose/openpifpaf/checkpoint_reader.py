"""Reader for torch checkpoints of whole modules that executes nothing from the file.

A pickle is a program that can call any function of any module. This reader accepts a short list of names,
and it neither imports nor calls even those: every object becomes a `Record` of its name, arguments and
state. Tensors are reconstructed from the records afterwards. Both formats of ``torch.save`` are supported:
the zip archive, and the plain file of torch before 1.6.
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
# Other names in checkpoints: training settings, and numpy arrays in the descriptions of poses.
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
_MAGIC: Final = 0x1950A86A20F9469CFC6C  # first number in a file of torch before 1.6
_PROTOCOL: Final = 1001
_MAXIMUM_DEPTH: Final = 64  # of nested modules


class Record:
    """A pickled object that was not created: its name, arguments and state.

    Attributes:
        path: module and name of the class or function.
        arguments: positional arguments.
        state: argument of ``__setstate__``; the ``__dict__`` of a module.
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
        """Name of the class or function without its module."""
        return self.path.rsplit(".", 1)[-1]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute in the state."""
        return self.state.get(name, default) if isinstance(self.state, Mapping) else default

    def children(self) -> Mapping[str, Any]:
        """Direct submodules of a module."""
        return _mapping(self.get("_modules"))


class _Storage(NamedTuple):
    key: str
    dtype: torch.dtype
    length: int


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint.

    Attributes:
        content: the saved object; dicts, lists and numbers are themselves, every other object is a `Record`.
    """

    content: Any
    _read: Callable[[_Storage], Tensor]

    def tensors(self, module: Record) -> dict[str, Tensor]:
        """The state dict of a module.

        Raises:
            ValueError: if a parameter or buffer is not a tensor that lies within its storage.
        """
        found = {}
        for prefix, record in modules(module):
            excluded = record.get("_non_persistent_buffers_set") or ()
            tensors = {**_mapping(record.get("_parameters")), **_mapping(record.get("_buffers"))}
            for name, value in tensors.items():
                if value is not None and name not in excluded:
                    found[f"{prefix}.{name}" if prefix else name] = self._tensor(value)
        return found

    def _tensor(self, value: Any) -> Tensor:
        if isinstance(value, Record) and value.path == _PARAMETER and value.arguments:
            value = value.arguments[0]
        if not isinstance(value, Record) or value.path != _TENSOR or len(value.arguments) < 4:
            raise ValueError("a parameter that is not a tensor")
        storage, offset, size, stride = value.arguments[:4]
        numbers = [offset, *size, *stride]
        if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError("a tensor without a storage")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) > storage.length or last >= max(1, storage.length):
            raise ValueError("a tensor beyond its storage")
        return torch.as_strided(self._read(storage), size, stride, offset).clone()


def modules(root: Record, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Record]]:
    """A module and all its submodules with their names, in the order of ``named_modules``.

    Raises:
        ValueError: if a submodule is not a module, or modules contain themselves.
    """
    if not isinstance(root, Record) or depth > _MAXIMUM_DEPTH:
        raise ValueError("a submodule that is not a module, or a module that contains itself")
    yield prefix, root
    for name, child in root.children().items():
        if child is not None:
            yield from modules(child, f"{prefix}.{name}" if prefix else name, depth + 1)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file written by ``torch.save`` without executing anything in it.

    Raises:
        PoseError: if the file is damaged or of another kind, or contains a name that is not on the list.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_plain(path)
    except _RefusedError as refused:
        raise PoseError(
            f"{path} contains {refused}; expected only tensors and plain modules, nothing was executed"
        ) from refused
    except OSError:
        raise
    except Exception as error:  # invalid pickles raise many kinds of exceptions
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise PoseError(f"{path} is not an OpenPifPaf checkpoint ({reason}); fetch it again") from error


class _RefusedError(Exception):
    """A name that is not on the list."""


class _Unpickler(pickle.Unpickler):
    """Creates records; each file has its own classes, so files cannot affect each other."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="utf-8")
        self._classes: dict[str, type[Record]] = {}
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
        if path not in self._classes:
            self._classes[path] = type(name, (Record,), {"path": path})
        return self._classes[path]

    def persistent_load(self, pid: Any) -> Any:
        kind, what, *rest = pid
        if kind == "module":  # torch before 1.6 stored the source of each class
            return what
        key, _, length, *view = rest
        if kind != "storage" or not isinstance(what, torch.dtype) or type(length) is not int or any(view):
            raise ValueError("a storage of an unknown kind")
        return self.storages.setdefault(str(key), _Storage(str(key), what, length))


def _read_zip(path: Path) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed storages")
        if f"{folder}byteorder" in archive.namelist():
            _check_byte_order(archive.read(f"{folder}byteorder") == b"little")
        with archive.open(pickled) as file:
            content = _Unpickler(file).load()

    def read(storage: _Storage) -> Tensor:
        with zipfile.ZipFile(path) as archive:
            return _to_tensor(archive.read(f"{folder}data/{storage.key}"), storage)

    return Checkpoint(content, read)


def _read_plain(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        if (_Unpickler(file).load(), _Unpickler(file).load()) != (_MAGIC, _PROTOCOL):
            raise ValueError("not a torch checkpoint")
        _check_byte_order(_Unpickler(file).load()["little_endian"] is True)
        unpickler = _Unpickler(file)
        content = unpickler.load()
        offsets: dict[str, int] = {}
        for key in _Unpickler(file).load():
            storage = unpickler.storages[key]
            if int.from_bytes(file.read(8), "little") != storage.length:
                raise ValueError("two different lengths of a storage")
            offsets[key] = file.tell()
            file.seek(storage.length * storage.dtype.itemsize, 1)
        if file.tell() > path.stat().st_size:
            raise ValueError("a storage that is too short")

    def read(storage: _Storage) -> Tensor:
        with path.open("rb") as file:
            file.seek(offsets[storage.key])
            return _to_tensor(file.read(storage.length * storage.dtype.itemsize), storage)

    return Checkpoint(content, read)


def _check_byte_order(little: bool) -> None:
    if not little or sys.byteorder != "little":
        raise ValueError("another byte order")


def _to_tensor(content: bytes, storage: _Storage) -> Tensor:
    if len(content) != storage.length * storage.dtype.itemsize:
        raise ValueError("a storage that is too short")
    if not content:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(bytearray(content), dtype=storage.dtype)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
