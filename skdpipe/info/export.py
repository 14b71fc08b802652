"""Exported networks: their metadata, read from the files themselves without a runtime.

An ONNX file is a protocol buffer, whose fields are skipped up to those of the metadata; an OpenVINO file is
XML. The networks in them are not loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final
from xml.etree import ElementTree

from pydantic import TypeAdapter

from skdpipe.config import RtmlibSettings
from skdpipe.errors import BundleError, SkdpipeError, in_brief
from skdpipe.file_format import is_newer
from skdpipe.inference.export_format import (
    OPENVINO_STUDENT,
    POSE,
    POSE_FORMAT,
    STATIC_STUDENT,
    STUDENT,
    STUDENT_FORMAT,
    Parity,
)
from skdpipe.inference.metadata import BundleMetadata, metadata_in, unfit
from skdpipe.info.bundle import facts_of_network, title_of
from skdpipe.info.description import Description, Fact, commands_for, listed, size_of
from skdpipe.json_shape import parse_json
from skdpipe.training_record import read_record

_REMEDY: Final = "run `skdpipe export` again"
_MOST_TEXT: Final = 16 << 20  # bytes of a field of the metadata
_METADATA: Final = 14  # field numbers of ONNX's ModelProto
_FIELDS: Final = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
_OF_POSE: Final = {"backbone", "checksum", "fingerprint", "settings", "upsample"}
_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5


def is_onnx(start: bytes) -> bool:
    """Whether a file with these first bytes can be ONNX: the first field is the version of the format."""
    return len(start) > 3 and start[0] == 0x08 and 0 < start[1] < 64 and start[2] >> 3 in _FIELDS


def is_openvino(start: bytes) -> bool:
    """Whether a file with these first bytes can be OpenVINO's description of a network."""
    return b"<net " in start


def is_litert(start: bytes) -> bool:
    """Whether a file with these first bytes is LiteRT's."""
    return start[4:8] == b"TFL3"


def is_export(folder: Path) -> bool:
    """Whether a folder holds an exported network under one of the names of `skdpipe export`."""
    return any((folder / name).is_file() for name in (STUDENT, STATIC_STUDENT, OPENVINO_STUDENT, POSE))


def describe_export(path: Path) -> Description:
    """Describe an exported network: the folder, or one of its files.

    Raises:
        BundleError: if the file of the network is damaged or none of skdpipe.
    """
    if not path.is_dir():
        return _describe_file(path, path, [])
    students = [path / name for name in (STUDENT, OPENVINO_STUDENT, STATIC_STUDENT, POSE)]
    first, *others = (each for each in students if each.is_file())
    return _describe_file(path, first, others)


def _describe_file(path: Path, file: Path, others: list[Path]) -> Description:
    """Describe the export at a path by the metadata of one file; the others must agree with it."""
    fields = read_fields(file)
    stated = fields.get("format", "")
    for known in (STUDENT_FORMAT, POSE_FORMAT):
        if is_newer(stated, known):
            raise BundleError(f"{file} was written by a later version of skdpipe ({stated}); update skdpipe")
    problems = [problem for each in others if (problem := _disagreement(each, file, fields))]
    if file.suffix == ".xml" and not file.with_suffix(".bin").is_file():
        problems.append(f"{file.with_suffix('.bin')}: the weights are missing; {_REMEDY}")
    facts = [Fact("file", file.name), *_parity(fields, file, problems)]
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    rest = [
        Fact("files", [str(each.relative_to(path)) for each in sorted(files)]) if path.is_dir() else None,
        size_of(files),
        Fact("bundle", fields.get("bundle"), fields.get("bundle", "")),
    ]
    if stated == POSE_FORMAT:
        facts += _facts_of_pose(fields, file)
        title = "an exported pose network"
        commands = commands_for(path, "skdpipe info {}")
    elif stated == STUDENT_FORMAT:
        metadata = metadata_in(fields, file, _REMEDY)
        record = read_record(metadata)
        facts += facts_of_network(metadata, record)
        title = f"an exported network: {title_of(metadata, record).partition(': ')[2]}"
        commands = _commands(metadata, path)
    else:
        found = f"the format {in_brief(stated)}" if stated else "no format"
        raise BundleError(f"{file}: a network that states {found}; expected one of `skdpipe export`")
    facts += [commands, *filter(None, rest)]
    return Description(path, "export", title, tuple(facts), tuple(problems))


def _commands(metadata: BundleMetadata, path: Path) -> Fact:
    """The commands that use an exported student; without an estimator it labels videos with another one."""
    skeletons, video = (f"skdpipe predict {what} --bundle {{}}" for what in ("SKELETONS", "VIDEO"))
    if metadata.clip.coordinates == 3:
        return commands_for(path, skeletons)
    folder = path if path.is_dir() else path.parent
    if isinstance(metadata.estimator, RtmlibSettings) or (folder / POSE).is_file():
        return commands_for(path, video)
    return commands_for(path, skeletons, f"{video} --estimator FILE")


def _parity(fields: Mapping[str, str], file: Path, problems: list[str]) -> Iterator[Fact]:
    if "parity" not in fields:
        return
    try:
        parity = parse_json(TypeAdapter(Parity), fields["parity"])
    except ValueError as error:
        problems.append(f"{file}: its comparison with PyTorch cannot be read ({error}); {_REMEDY}")
        return
    yield Fact(
        "parity",
        asdict(parity),
        f"compared with PyTorch on {parity.clips:,} clips: largest difference "
        f"{parity.largest_difference:.2g}, {100 * parity.equal:.2f} % equal labels",
    )


def _facts_of_pose(fields: Mapping[str, str], file: Path) -> Iterator[Fact]:
    try:
        content: dict[str, Any] = json.loads(fields["description"])
        for name in sorted(_OF_POSE & content.keys()):
            yield Fact(name, content[name], listed(content[name]) if name == "settings" else "")
    except (KeyError, ValueError, AttributeError, RecursionError) as error:
        raise unfit(file, error, _REMEDY) from error


def _disagreement(file: Path, first: Path, fields: Mapping[str, str]) -> str:
    """What is wrong with another file of an export; empty if nothing is."""
    try:
        found = read_fields(file)
    except SkdpipeError as error:
        return str(error)
    if found.get("format") == fields.get("format") and found.get("bundle") != fields.get("bundle"):
        return f"{file} is of another bundle than {first.name}; {_REMEDY}"
    return ""


def read_fields(file: Path) -> dict[str, str]:
    """The metadata in an exported file.

    Raises:
        BundleError: if it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(256)
            opened.seek(0)
            if is_openvino(start):
                return _read_openvino(opened)
            return dict(_read_onnx(opened, file.stat().st_size))
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise BundleError(f"{file}: damaged or no exported network ({error}); {_REMEDY}") from error


def _read_openvino(file: IO[bytes]) -> dict[str, str]:
    """The values below ``rt_info`` of the network; layers are dropped while they are read."""
    fields: dict[str, str] = {}
    depth = 0
    for event, element in ElementTree.iterparse(file, ("start", "end")):
        depth += 1 if event == "start" else -1
        if event == "end" and depth == 1:
            if element.tag == "rt_info":
                fields = {each.tag: each.get("value", "") for each in element}
            element.clear()
    return fields


def _read_onnx(file: IO[bytes], size: int) -> Iterator[tuple[str, str]]:
    """The entries of ``metadata_props``."""
    while file.tell() < size:
        number, kind = divmod(_varint(file), 8)
        if kind == _VARINT:
            _varint(file)
            continue
        length = {_FIXED_64: 8, _FIXED_32: 4}.get(kind) or (_varint(file) if kind == _LENGTH else None)
        if length is None or number not in _FIELDS or file.tell() + length > size:
            raise ValueError("its fields are not those of ONNX")
        if number != _METADATA:
            file.seek(length, 1)
        elif length > _MOST_TEXT:
            raise ValueError(f"metadata of {length} bytes")
        else:
            yield _entry(file.read(length))


def _entry(content: bytes) -> tuple[str, str]:
    """Key and value of an entry: two texts."""
    file, texts = BytesIO(content), {1: "", 2: ""}
    while file.tell() < len(content):
        number, kind = divmod(_varint(file), 8)
        length = _varint(file)
        if kind != _LENGTH or number not in texts:
            raise ValueError("its metadata are not those of ONNX")
        texts[number] = file.read(length).decode()
    return texts[1], texts[2]


def _varint(file: IO[bytes]) -> int:
    """A number of protocol buffers: seven bits in a byte, the lowest first."""
    value = 0
    for place in range(10):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut off")
        value |= (byte[0] & 127) << (7 * place)
        if byte[0] < 128:
            return value
    raise ValueError("a number of more than 64 bits")
