"""Reader for torch checkpoints of whole modules that executes nothing from the file.

A pickle is a program that can call any function of any module. This reader accepts a short list of names,
and it neither imports nor calls even those: every object becomes a `Record` of its name, arguments and
state. Tensors are reconstructed from the records afterwards. Both formats of ``torch.save`` are supported:
the zip archive, and the plain file of torch before 1.6. A pickle is scanned before it is read
(`skdpipe.pickle_scan`), and what is made of it is bounded by the size of the file.
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Final, NamedTuple

import torch
from torch import Tensor

from skdpipe.errors import PoseError, in_one_line
from skdpipe.pickle_scan import scan_pickle
from skdpipe.regular_file import require_regular

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
_MOST_MODULES: Final = 20_000  # of a network, also if it contains one of them many times
_MOST_ENTRIES: Final = 20_000  # files in an archive
_MOST_CLASSES: Final = 1_000  # different names in a pickle
_LONGEST_NAME: Final = 200  # of a class, module, parameter or storage
_LARGEST_PICKLE: Final = 20_000_000  # bytes; resnet152 takes 200,000
_MOST_NUMBERS: Final = 10**11  # of a storage
_MOST_AXES: Final = 32
_SMALLEST_READING: Final = 16  # bytes that a tensor takes of a file at least
_READINGS: Final = 4  # how many times a storage is read on average, as tensors can share it


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


_Read = Callable[[_Storage], Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint.

    Attributes:
        content: the saved object; dicts, lists and numbers are themselves, every other object is a `Record`.
    """

    content: Any
    _open: Callable[[], AbstractContextManager[_Read]]
    _size: int

    def tensors(self, module: Record) -> dict[str, Tensor]:
        """The state dict of a module.

        Raises:
            ValueError: if a parameter or buffer is not a tensor that lies within its storage, or the tensors
                have many times the size of the file.
        """
        with self._open() as read:
            return self._tensors(module, read)

    def _tensors(self, module: Record, read: _Read) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        left = _READINGS * self._size
        for prefix, record in modules(module):
            excluded = record.get("_non_persistent_buffers_set")
            tensors = {**_mapping(record.get("_parameters")), **_mapping(record.get("_buffers"))}
            for name, value in tensors.items():
                if value is None or (isinstance(excluded, set) and name in excluded):
                    continue
                storage, size, stride, offset = self._view(value)
                left -= max(storage.length * storage.dtype.itemsize, _SMALLEST_READING)
                if left < 0:
                    raise ValueError("tensors that share their storage many times")
                found[_joined(prefix, name)] = torch.as_strided(read(storage), size, stride, offset).clone()
        return found

    def _view(self, value: Any) -> tuple[_Storage, tuple[int, ...], tuple[int, ...], int]:
        """Storage, size, stride and offset of a tensor."""
        if isinstance(value, Record) and value.path == _PARAMETER and value.arguments:
            value = value.arguments[0]
        if not isinstance(value, Record) or value.path != _TENSOR or len(value.arguments) < 4:
            raise ValueError("a parameter that is not a tensor")
        storage, offset, size, stride = value.arguments[:4]
        if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) > _MOST_AXES:
            raise ValueError("a tensor without a shape")
        numbers = [offset, *size, *stride]
        if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError("a tensor without a storage")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) > storage.length or last >= max(1, storage.length):
            raise ValueError("a tensor beyond its storage")
        return storage, size, stride, offset


def modules(root: Record) -> Iterator[tuple[str, Record]]:
    """A module and all its submodules with their names, in the order of ``named_modules``.

    Raises:
        ValueError: if a submodule is not a module, modules contain themselves, or there are too many.
    """
    for number, found in enumerate(_submodules(root, "", 0)):
        if number == _MOST_MODULES:
            raise ValueError(f"more than {_MOST_MODULES} modules")
        yield found


def _submodules(root: Record, prefix: str, depth: int) -> Iterator[tuple[str, Record]]:
    if not isinstance(root, Record) or depth > _MAXIMUM_DEPTH:
        raise ValueError("a submodule that is not a module, or a module that contains itself")
    yield prefix, root
    for name, child in root.children().items():
        if child is not None:
            yield from _submodules(child, _joined(prefix, name), depth + 1)


def _joined(prefix: str, name: Any) -> str:
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        raise ValueError("a module or parameter without a plain name")
    return f"{prefix}.{name}" if prefix else name


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file written by ``torch.save`` without executing anything in it.

    Raises:
        PoseError: if the file is damaged or of another kind, or contains a name that is not on the list.
    """
    try:
        require_regular(path)
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_plain(path)
    except _RefusedError as refused:
        raise PoseError(
            f"{path} contains {refused}; expected only tensors and plain modules, nothing was executed"
        ) from refused
    except OSError:
        raise
    except Exception as error:  # invalid pickles raise many kinds of exceptions
        raise PoseError(
            f"{path} is not an OpenPifPaf checkpoint ({in_one_line(error)}); fetch it again"
        ) from error


class _RefusedError(Exception):
    """A name that is not on the list."""


class _Unpickler(pickle.Unpickler):
    """Creates records; each file has its own classes, so files cannot affect each other."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="utf-8")
        self._classes: dict[str, type[Record]] = {}
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if len(module) + len(name) > _LONGEST_NAME:
            raise _RefusedError(f"a name of {len(module) + len(name)} characters")
        path = f"{module}.{name}"
        if path == "collections.OrderedDict":
            return _OrderedDict
        if module in _BUILTINS and name in {"set", "frozenset"}:
            return _set
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if "." in name or not (path in _PLAIN or module.startswith(_MODULES)):
            raise _RefusedError(path)
        if path not in self._classes:
            if len(self._classes) == _MOST_CLASSES:
                raise ValueError(f"more than {_MOST_CLASSES} classes")
            self._classes[path] = type(name, (Record,), {"path": path})
        return self._classes[path]

    def persistent_load(self, pid: Any) -> Any:
        kind, what, *rest = pid
        if kind == "module":  # torch before 1.6 stored the source of each class
            return what
        key, _, length, *view = rest
        if kind != "storage" or not isinstance(what, torch.dtype) or type(length) is not int or any(view):
            raise ValueError("a storage of an unknown kind")
        if not isinstance(key, str) or len(key) > _LONGEST_NAME or not 0 <= length < _MOST_NUMBERS:
            raise ValueError("a storage without a plain name and length")
        return self.storages.setdefault(key, _Storage(key, what, length))


class _OrderedDict(OrderedDict[Any, Any]):
    """One whose attributes a pickle cannot set."""

    def __init__(self, pairs: list[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        for name, value in pairs or []:  # of Python 2; Python 3 adds them later
            self[_joined("", name)] = value

    def __setstate__(self, state: object) -> None:
        """Leave out attributes, which are not items."""


def _set(names: list[str] | None = None) -> set[str]:
    """A set of names, the only ones in modules."""
    return {_joined("", name) for name in names or []}


def _read_zip(path: Path) -> Checkpoint:
    size = path.stat().st_size
    _count_entries(path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename for entry in entries}
        (pickled,) = (entry for entry in entries if entry.filename.endswith("/data.pkl"))
        folder = pickled.filename.removesuffix("data.pkl")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("compressed storages")
        if len(names) != len(entries) or sum(entry.file_size for entry in entries) > size:
            raise ValueError("files in the archive that overlap")
        if pickled.file_size > _LARGEST_PICKLE:
            raise ValueError(f"a pickle of {pickled.file_size} bytes")
        if f"{folder}byteorder" in names:
            _check_byte_order(archive.read(f"{folder}byteorder") == b"little")
        content = archive.read(pickled)
    scan_pickle(content, persistent=True)

    @contextmanager
    def open_storages() -> Iterator[_Read]:
        with zipfile.ZipFile(path) as archive:

            def read(storage: _Storage) -> Tensor:
                name = f"{folder}data/{storage.key}"
                if archive.getinfo(name).file_size != storage.length * storage.dtype.itemsize:
                    raise ValueError("a storage of another length")
                try:
                    return _to_tensor(archive.read(name), storage)
                except (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError) as error:
                    raise ValueError(f"a storage that cannot be read ({in_one_line(error)})") from error

            yield read

    return Checkpoint(_Unpickler(io.BytesIO(content)).load(), open_storages, size)


def _count_entries(path: Path) -> None:
    """Refuse an archive of very many files, whose list would take much more memory than the archive."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = -1
        for _ in range(_MOST_ENTRIES):
            position = content.find(b"PK\x01\x02", position + 1)
            if position < 0:
                return
    raise ValueError(f"more than {_MOST_ENTRIES} files in the archive")


def _read_plain(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        size = path.stat().st_size
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content_to_scan:
            end = 0
            for _ in range(5):  # magic number, protocol, byte order, content, names of storages
                start, end = end, scan_pickle(content_to_scan, end, persistent=True)
                if end - start > _LARGEST_PICKLE:
                    raise ValueError(f"a pickle of {end - start} bytes")
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
        if file.tell() > size:
            raise ValueError("a storage that is too short")

    @contextmanager
    def open_storages() -> Iterator[_Read]:
        with path.open("rb") as file:

            def read(storage: _Storage) -> Tensor:
                file.seek(offsets[storage.key])
                return _to_tensor(file.read(storage.length * storage.dtype.itemsize), storage)

            yield read

    return Checkpoint(content, open_storages, size)


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
