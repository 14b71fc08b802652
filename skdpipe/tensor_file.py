"""Safetensors files with a checksum, whose bytes depend on their content alone.

The header's fields are sorted; the library writes them in random order. The field ``sha256`` of the metadata
is the SHA-256 of the header without this field, followed by the tensors. Files without it, which earlier
versions wrote, are read as well.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from skdpipe.errors import in_one_line
from skdpipe.file_format import is_newer
from skdpipe.storage import Place, Start, read_bytes, read_start, write_bytes

CHECKSUM: Final = "sha256"
"""Name of the checksum in the metadata."""

_BYTES: Final = {"F32": 4, "F64": 8, "I32": 4, "I64": 8}


class TensorFileError(ValueError):
    """A file that is damaged or not one of tensors; the message is what was found, without the path."""


class OtherFormatError(TensorFileError):
    """A file of tensors of another format."""


class NewerFormatError(TensorFileError):
    """A file in a later version of its format."""


@dataclass(frozen=True)
class TensorType:
    """Shape and type of a tensor in a file; the type as safetensors writes it, for example F32."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Header:
    """The header of a file: its metadata, and the types of its tensors by name."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, TensorType]

    def require_format(self, expected: str) -> None:
        """Check the version that the field ``format`` of the metadata states, ``NAME-NUMBER``.

        Raises:
            NewerFormatError: if it is a later version.
            OtherFormatError: if it is another one.
            TensorFileError: if the field is not there.
        """
        found = self.metadata.get("format", "none")
        if found == expected:
            return
        if is_newer(found, expected):
            raise NewerFormatError(f"format '{found}', newer than '{expected}'")
        error = OtherFormatError if "format" in self.metadata else TensorFileError
        raise error(f"format '{found:.40}', expected '{expected}'")


def write_tensors(path: Place, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write a file; equal tensors and metadata give equal bytes.

    Raises:
        OSError: if the file cannot be written.
    """
    content = memoryview(save(dict(tensors), dict(metadata)))
    length, header = _split(content)
    digest = hashlib.sha256(_encode(header))
    digest.update(content[length:])
    encoded = _encode({**header, "__metadata__": {**metadata, CHECKSUM: digest.hexdigest()}})
    write_bytes(path, len(encoded).to_bytes(8, "little"), encoded, content[length:])


def read_header(path: Place, start: Start | None = None) -> Header:
    """Read the header of a file and check it against the length of the file; the checksum is not verified.

    Args:
        path: the file.
        start: what was read already of the file.

    Raises:
        OSError: if the file cannot be read.
        TensorFileError: if it is damaged.
    """
    if start is None:
        _require_file(path)
        start = read_start(path)
    if len(start.content) < min(start.size, _length_of_header(start.content)):
        content = read_bytes(path)
        start = Start(content, len(content))
    header = _plain_header_in(start)
    if header is not None:
        return header
    if isinstance(path, Path):
        return _read_header(path)
    with TemporaryDirectory(prefix="skdpipe-") as folder:
        path = Path(folder) / "header"
        with path.open("wb") as file:
            file.write(start.content)
            file.truncate(start.size)  # safetensors checks the lengths, and reads no more than the header
        return _read_header(path)


def _plain_header_in(start: Start) -> Header | None:
    """The header of a file that is sound and has common types, in a part of the library's time.

    Of other files it is None: safetensors says what is wrong with them.
    """
    length = _length_of_header(start.content)
    if not 8 < length <= len(start.content) or start.content[8:9] != b"{":
        return None
    try:
        fields = json.loads(start.content[8:length].decode())
        metadata = fields.pop("__metadata__", {})
        types = {name: TensorType(tuple(each["shape"]), each["dtype"]) for name, each in fields.items()}
        end = 0
        for first, last, name in sorted((*each["data_offsets"], name) for name, each in fields.items()):
            shape, dtype = types[name].shape, types[name].dtype
            if first != end or last - first != math.prod(shape) * _BYTES[dtype] or not _are_sizes(shape):
                return None
            end = last
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if length + end != start.size or not all(type(each) is str for each in metadata.values()):
        return None
    return Header(metadata, types)


def _are_sizes(shape: tuple[object, ...]) -> bool:
    return all(type(each) is int and each >= 0 for each in shape)


def _read_header(path: Path) -> Header:
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            types = {
                name: TensorType(tuple(each.get_shape()), str(each.get_dtype()))
                for name, each in slices.items()
            }
            return Header(file.metadata() or {}, types)
    except SafetensorError as error:
        raise TensorFileError(in_one_line(error)) from error


def read_tensors(path: Place) -> dict[str, NDArray[Any]]:
    """Read the tensors of a file, bit for bit as they were written.

    Raises:
        OSError: if the file cannot be read.
        TensorFileError: if it is damaged, or the checksum differs.
    """
    return tensors_in(read_content(path))


def read_content(path: Place) -> bytes:
    """All bytes of a file.

    Raises:
        OSError: if it cannot be read.
        TensorFileError: if it is no regular file.
    """
    _require_file(path)
    return read_bytes(path)


def tensors_in(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors in the content of a file, as `read_tensors`.

    Raises:
        TensorFileError: if it is damaged, or the checksum differs.
    """
    try:
        tensors = load(content)
        length, header = _split(memoryview(content))
    except (
        SafetensorError,
        ValueError,
        KeyError,
        RecursionError,
    ) as error:  # KeyError: a type without numpy's
        raise TensorFileError(in_one_line(error)) from error
    stated = header.get("__metadata__", {}).pop(CHECKSUM, None)
    if stated is not None:
        digest = hashlib.sha256(_encode(header))
        digest.update(memoryview(content)[length:])
        if digest.hexdigest() != stated:
            raise TensorFileError("its content does not have the checksum that it states")
    return tensors


def has_valid_checksum(path: Place) -> bool:
    """Whether a file states a checksum, and its content has it."""
    try:
        read_tensors(path)
        return CHECKSUM in read_header(path).metadata
    except (OSError, TensorFileError):
        return False


def digest_of_tensors(path: Path) -> str:
    """sha256 of the names and values of the tensors, whatever their order in the file.

    Raises:
        OSError: if the file cannot be read.
        TensorFileError: if it is damaged.
    """
    read_header(path)  # checks it
    content = memoryview(path.read_bytes())
    length, header = _split(content)
    digest = hashlib.sha256()
    for name in sorted(header.keys() - {"__metadata__"}):
        first, last = header[name]["data_offsets"]
        digest.update(name.encode())
        digest.update(content[length + first : length + last])
    return digest.hexdigest()


def all_finite(tensors: Mapping[str, NDArray[Any]]) -> bool:
    """Whether no tensor contains NaN or an infinity."""
    return all(np.isfinite(each).all() for each in tensors.values() if each.dtype.kind == "f")


def _split(content: memoryview) -> tuple[int, dict[str, Any]]:
    """The number of bytes before the tensors, and the header."""
    length = _length_of_header(content)
    header = json.loads(bytes(content[8:length]))
    assert isinstance(header, dict)
    return length, header


def _encode(header: Mapping[str, Any]) -> bytes:
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    return encoded + b" " * (-len(encoded) % 8)


def _length_of_header(content: bytes | memoryview) -> int:
    return 8 + int.from_bytes(content[:8], "little")


def _require_file(path: Place) -> None:
    """Refuse what is no regular file: a folder, or a pipe, which would block."""
    if isinstance(path, Path):
        with suppress(OSError):  # reading it says what is wrong
            if S_ISREG(path.stat().st_mode):
                return
            raise TensorFileError("a folder or a device, not a file")
