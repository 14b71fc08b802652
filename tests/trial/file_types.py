"""Files taken apart into values and put together again, so that one value can be mutated.

Beside that, for each type whole files that are known to be dangerous.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import yaml
from hostile_pickle import PickledCall
from numpy._core.numeric import _frombuffer
from scipy.io import loadmat, savemat

from trial.mutations import Verbatim, mutate_bytes, mutate_value


@dataclass(frozen=True)
class FileType:
    """How files of a type are taken apart.

    Attributes:
        parse: the values in a file.
        write: a file with these values.
        dangerous: whole files, each made when it is needed.
    """

    parse: Callable[[bytes], Any]
    write: Callable[[Any], bytes]
    dangerous: Sequence[Callable[[], bytes]] = ()


def mutate_file(path: Path, random: Random, donor: Path | None = None) -> str:
    """Mutate a file in place; what was changed."""
    content = path.read_bytes()
    file_type, choice = file_type_of(path), random.random()
    what = ""
    if file_type is not None and choice < 0.015 * len(file_type.dangerous):
        number = random.randrange(len(file_type.dangerous))
        content, what = file_type.dangerous[number](), f"dangerous file {number}"
    elif file_type is not None and choice < 0.75:
        content, what = _mutate_structure(content, file_type, random)
    if not what:
        content, what = mutate_bytes(content, random, donor.read_bytes() if donor else b"")
    path.write_bytes(content)
    return f"{path.name}: {what}"


def rewrite_file(path: Path, random: Random, donor: Path | None = None) -> str:
    """Take a file apart and put it together again, without a change."""
    if file_type := file_type_of(path):
        path.write_bytes(file_type.write(file_type.parse(path.read_bytes())))
    return f"{path.name}: written again"


def file_type_of(path: Path) -> FileType | None:
    """The type of a file by its suffix; None if it is only bytes."""
    return _BY_SUFFIX.get(path.suffix)


def _mutate_structure(content: bytes, file_type: FileType, random: Random) -> tuple[bytes, str]:
    """The file with one value changed; unchanged, and no text, if nothing that can be written was found."""
    tree = file_type.parse(content)
    for _ in range(10):
        changed, what = mutate_value(tree, random)
        try:
            written = file_type.write(changed)
        except (TypeError, ValueError, OverflowError, RecursionError, AttributeError, KeyError, struct.error):
            continue  # the format cannot hold it
        if written != content:
            return written, what
    return content, ""


# Text ------------------------------------------------------------------------------------------


class _Lines(list):  # type: ignore[type-arg]
    """The values of a file with a JSON value in each line."""


def _parse_json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return _Lines(json.loads(line) for line in content.splitlines() if line.strip())


def _write_json(tree: Any) -> bytes:
    verbatim: dict[str, str] = {}
    plain = _with_marks(tree, verbatim)
    text = "\n".join(map(json.dumps, plain)) if isinstance(tree, _Lines) else json.dumps(plain)
    return _insert_verbatim(text, verbatim).encode("utf-8", "surrogatepass")


def _write_yaml(tree: Any) -> bytes:
    verbatim: dict[str, str] = {}
    text = yaml.safe_dump(_with_marks(tree, verbatim), allow_unicode=True)
    return _insert_verbatim(text, verbatim).encode("utf-8", "surrogatepass")


def _with_marks(tree: Any, verbatim: dict[str, str]) -> Any:
    """Plain values, with a mark in place of each that a writer would not write."""
    if isinstance(tree, dict):
        return {str(key): _with_marks(value, verbatim) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_with_marks(value, verbatim) for value in tree]
    if isinstance(tree, int) and abs(tree) > 10**4000:
        tree = Verbatim("1" + 5000 * "0")
    if isinstance(tree, bytes):
        tree = Verbatim('"\\u0000\\u00ff"')
    if isinstance(tree, Verbatim):
        mark = f"@verbatim{len(verbatim)}@"
        verbatim[mark] = tree.text
        return mark
    return tree


def _insert_verbatim(text: str, verbatim: dict[str, str]) -> str:
    for mark, replacement in verbatim.items():
        text = re.sub(f"[\"']{mark}[\"']", lambda _, new=replacement: new, text)
    return text


def _parse_words(content: bytes) -> list[list[str]]:
    return [line.split(" ") for line in content.decode().splitlines()]


def _write_words(tree: Any) -> bytes:
    lines = [line if isinstance(line, list) else [line] for line in tree]
    return "\n".join(" ".join(map(_word, line)) for line in lines).encode("utf-8", "surrogatepass")


def _word(value: Any) -> str:
    if isinstance(value, Verbatim):
        return value.text
    return "1" + 5000 * "0" if isinstance(value, int) and abs(value) > 10**4000 else str(value)


# Arrays ----------------------------------------------------------------------------------------


def _write_npy(tree: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(_without_verbatim(tree)))
    return file.getvalue()


def _npy(kind: str, shape: str, data: bytes = b"") -> bytes:
    """A file whose header says so."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def _parse_mat(content: bytes) -> dict[str, Any]:
    return {name: value for name, value in loadmat(io.BytesIO(content)).items() if name[:2] != "__"}


def _write_mat(tree: Any) -> bytes:
    file = io.BytesIO()
    savemat(file, _without_verbatim(tree), do_compression=True)
    return file.getvalue()


def _without_verbatim(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_verbatim(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_verbatim(value) for value in tree]
    return tree.text if isinstance(tree, Verbatim) else tree


def _mat_bomb() -> bytes:
    """A compressed element that unpacks to 4 GB."""
    packer = zlib.compressobj(9)
    zeros = bytes(2**24)
    parts = [packer.compress(struct.pack("<II", 14, 2**32 - 16))]
    parts += [packer.compress(zeros) for _ in range(256)]
    body = b"".join([*parts, packer.flush()])
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(body)) + body


def _write_safetensors(tree: Any) -> bytes:
    header, data = {}, b""
    metadata = tree["metadata"]
    if metadata is not None:
        header["__metadata__"] = {
            key: text if isinstance(text, str) else _write_json(text).decode("utf-8", "surrogatepass")
            for key, text in metadata.items()
        }
    for name, array in tree["tensors"].items():
        part = np.asarray(array, order="C")
        kind = _TENSOR_KINDS[part.dtype.newbyteorder("<").str.lstrip("<|")]
        place = [len(data), len(data) + part.nbytes]
        data += part.astype(part.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": kind, "shape": list(part.shape), "data_offsets": place}
    header |= tree["header"]
    return _joined(_with_checksum(_write_json(header), data), data)


def _with_checksum(header: bytes, data: bytes) -> bytes:
    """The header with the right checksum, see `skdpipe.tensor_file`; without one it stays as it is."""
    fields = json.loads(header)
    metadata = fields.get("__metadata__") if isinstance(fields, dict) else None
    if not isinstance(metadata, dict) or metadata.pop("sha256", None) is None:
        return header
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    encoded = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(encoded + b" " * (-len(encoded) % 8) + data)
    fields["__metadata__"] = {**metadata, "sha256": digest.hexdigest()}
    return json.dumps(fields).encode()


def _joined(header: bytes, data: bytes = b"") -> bytes:
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def _parse_safetensors(content: bytes) -> dict[str, Any]:
    """Metadata, with the JSON in it as values, and tensors; what is put under ``header`` replaces both."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, each in header.items():
        start, stop = each["data_offsets"]
        kind = {kind: dtype for dtype, kind in _TENSOR_KINDS.items()}[each["dtype"]]
        tensors[name] = np.frombuffer(content[end + start : end + stop], kind).reshape(each["shape"])
    return {
        "metadata": {key: _json_or_text(text) for key, text in metadata.items()},
        "tensors": tensors,
        "header": {},
    }


def _json_or_text(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text


_TENSOR_KINDS: Final = {
    "f2": "F16",
    "f4": "F32",
    "f8": "F64",
    "i1": "I8",
    "i2": "I16",
    "i4": "I32",
    "i8": "I64",
    "u1": "U8",
    "u4": "U32",
    "u8": "U64",
    "b1": "BOOL",
}

# Pickles ---------------------------------------------------------------------------------------


def _write_pickle(tree: Any) -> bytes:
    return pickle.dumps(_without_verbatim(tree), protocol=4)


def _laughs(depth: int = 40) -> list[Any]:
    """Lists that hold the same list ten times, and so on."""
    value: list[Any] = ["ha"]
    for _ in range(depth):
        value = [value] * 10
    return value


def _annotation(**changes: Any) -> bytes:
    """The only clip of a data set of PYSKL, with changes."""
    clip = {
        "frame_dir": "a",
        "label": 0,
        "total_frames": 2,
        "img_shape": (240, 320),
        "keypoint": np.ones((1, 2, 17, 2), np.float32),
        "keypoint_score": np.ones((1, 2, 17), np.float32),
        **changes,
    }
    return pickle.dumps({"split": {"train": ["a"]}, "annotations": [clip]})


def _copies() -> bytes:
    """3,000 arrays of a megabyte over the same bytes."""
    shared, kind = bytes(2**20), np.dtype("u1")
    arrays = [PickledCall(_frombuffer, shared, kind, (2**20,), "C") for _ in range(3000)]
    return pickle.dumps({"annotations": arrays, "split": {}}, protocol=5)


def _is_its_own_part() -> bytes:
    value: list[Any] = []
    value.append(value)
    return pickle.dumps({"annotations": value, "split": value})


FILE_TYPES: Final = {
    (".json", ".jsonl"): FileType(
        _parse_json,
        _write_json,
        (
            lambda: 200_000 * b"[",
            lambda: b'{"a":' * 100_000,
            lambda: b"[" + b"1" * 6000 + b"]",
            lambda: b'"\\ud800"',
            lambda: b"null",
            lambda: b"\xff\xfe[\x001\x00]\x00",
            lambda: b"[" + b"0," * 5_000_000 + b"0]",
            lambda: b"",
        ),
    ),
    (".yaml",): FileType(
        yaml.safe_load,
        _write_yaml,
        (
            lambda: "\n".join(
                ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
                + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
            ).encode(),
            lambda: 20_000 * b"[",
            lambda: 3_000 * b"{a: ",
            lambda: b"experiment: &e\n  recipe: *e\n",
            lambda: b"extraction: &e {high: *e, low: *e}\n",
            lambda: b"when: 2023-99-99\n",
            lambda: b"a: !!python/object/apply:os.system ['true']\n",
            lambda: b"a: " + b"9" * 6000 + b"\n",
            lambda: b"<<: *missing\n",
            lambda: b"? [a, {b: c}]\n: d\n",
            lambda: b"\xff\xfe\x00",
            lambda: b"a: 1:" + b"59:" * 3000 + b"59\n",
        ),
    ),
    (".txt", ".skeleton", ".csv"): FileType(_parse_words, _write_words),
    (".npy",): FileType(
        lambda content: np.load(io.BytesIO(content)),
        _write_npy,
        (
            lambda: _npy("<f4", "(100000, 100000, 17, 3)"),
            lambda: _npy("|O", "(1,)", pickle.dumps(1)),
            lambda: _npy("<f4", "(-1, 3)", bytes(48)),
            lambda: _npy("<f4", 5000 * "("),
            lambda: _npy("<f4", "(0, 10**18, 3, 3)"),
            lambda: _npy("<f4", "(0, 1000000000000000000, 3, 3)"),
            lambda: _npy("<U100000000", "()", bytes(400)),
            lambda: _npy("<f4", "(" + 2000 * "1, " + ")", bytes(4)),
        ),
    ),
    (".mat",): FileType(
        _parse_mat,
        _write_mat,
        (
            _mat_bomb,
            lambda: b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(64),
            lambda: bytes(200),
        ),
    ),
    (".safetensors", ".state"): FileType(
        _parse_safetensors,
        _write_safetensors,
        (
            lambda: struct.pack("<Q", 2**63) + b"{}",
            lambda: struct.pack("<Q", 2) + b"{}",
            lambda: _joined(200_000 * b"["),
            lambda: _joined(b'{"a":{"dtype":"F32","shape":[4294967296,1000],"data_offsets":[0,0]}}'),
            lambda: _joined(b'{"keypoints":{"dtype":"F32","shape":[0,1,17,3],"data_offsets":[0,0]}}'),
        ),
    ),
    (".pkl",): FileType(
        pickle.loads,
        _write_pickle,
        (
            lambda: pickle.dumps(_laughs()),
            lambda: _annotation(label=_laughs()),
            lambda: _annotation(frame_dir=_laughs()),
            lambda: _annotation(total_frames=_laughs()),
            lambda: _annotation(label=10**5000),
            lambda: pickle.dumps(([_laughs(), "b"], [0, _laughs()])),
            _copies,
            _is_its_own_part,
            lambda: pickle.dumps(PickledCall(exec, "raise SystemExit(70)")),
            lambda: b"\x80\x04" + b"(" * 100_000 + b"t" * 100_000 + b".",
            lambda: b"\x80\x04]" + b"]" * 100_000 + b"a" * 100_000 + b".",
            lambda: b"\x80\x04}" + b")" + b"\x85" * 200_000 + b"K\x01s.",
            lambda: b"\x80\x04Nr\x00\x00\x00\x08.",
            lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**40),
            lambda: b"\x80\x04\x8a\xff" + b"\x01" * 255 + b".",
            lambda: b"\x80\x04\x8b" + struct.pack("<i", 2_000_000) + b"\x7f" * 2_000_000 + b".",
            lambda: b"\x80\x04h\x00.",
            lambda: b"(lp0\n" + b"g0\na" * 1000 + b".",
            lambda: b"I" + b"9" * 100_000 + b"\n.",
        ),
    ),
}  # fmt: skip
_BY_SUFFIX: Final = {suffix: each for suffixes, each in FILE_TYPES.items() for suffix in suffixes}
