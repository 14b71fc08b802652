"""What a path holds: videos, or skeletons and in which format.

The end of a file's name shows most formats. For JSON files the keys at their start decide, for arrays the
number of axes; both are in the formats' records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from skdpipe.errors import ConfigError, DataError, FormatError, in_brief
from skdpipe.extraction.video_list import VideoList, find_videos
from skdpipe.folders import folders_below
from skdpipe.formats import st_gcn
from skdpipe.formats.arrays import open_array
from skdpipe.formats.catalogue import FORMATS, format_named
from skdpipe.formats.format import Format
from skdpipe.regular_file import is_regular, require_regular
from skdpipe.video import EXTENSIONS

_JSON: Final = (".json", ".jsonl")
_ARRAYS: Final = (".npy", ".npz")
ENDINGS: Final = frozenset({*_JSON, *_ARRAYS, ".mat", ".pickle", ".pkl", ".safetensors", ".skeleton"})
"""Ends of the names of skeleton files, in lower case."""

_START: Final = 64 * 1024  # bytes of a JSON file
_LOOKED_AT: Final = 1000  # files of a folder by their names
_LOOKED_INTO: Final = 20  # of these, files whose content is looked at
_SHOWN: Final = 5  # keys in a message
_EMPTY_LIST: Final = re.compile(r"\s*\[\s*\]\s*")
_TOKEN: Final = re.compile(r'"((?:[^"\\]|\\.)*)"(?=\s*(:?))|[\[\]{}]', re.DOTALL)


def recognise(path: Path, name: str | None = None) -> VideoList | Format:
    """The videos that a path holds, or the format of its skeletons.

    Of a folder with both the videos count, and the other files are in `VideoList.left_out`. A file of another
    ending than those of skeletons is a video.

    Args:
        path: a file, a folder, or numbered images.
        name: of the format of skeletons; all but videos by their ending and CSV files then hold skeletons.

    Raises:
        DataError: if there are neither videos nor skeletons.
        ConfigError: if the format of skeletons is not clear, or there is no such format.
        FormatError: if a file cannot be read.
    """
    ending = path.suffix.lower()
    if ending in ENDINGS or (name and ending not in EXTENSIONS | {".csv"}):
        return format_of(path, name)
    try:
        return find_videos(path, labels=False)
    except DataError:
        if not any(_skeleton_files(path)):
            raise
    return format_of(path, None)


def format_of(path: Path, name: str | None) -> Format:
    """The format of that name; without a name the one that the file shows, or the first files of a folder.

    Raises:
        ConfigError: if there is no such format, or none or several are shown.
        FormatError: if the file cannot be read.
    """
    if name:
        return format_named(name)
    shown = _shown_in_folder(path) if path.is_dir() else dict.fromkeys(_shown_by_file(path), path)
    if len(shown) == 1:
        return next(iter(shown))
    if shown:
        found = " and ".join(f"{each.name} ({file.name})" for each, file in shown.items())
        raise ConfigError(f"{path} holds {found}; name the one to read with --format")
    raise ConfigError(
        f"the format of {path} is not clear ({_describe(path)}); name one with --format: "
        f"{', '.join(each.name for each in FORMATS)}"
    )


def _skeleton_files(folder: Path) -> Iterator[Path]:
    """The files below a folder that end as skeletons do; hidden ones are left out."""
    for each in folders_below(folder):
        if not any(part.startswith(".") for part in each.path.relative_to(folder).parts):
            files = (Path(entry.path) for entry in each.entries if not entry.name.startswith("."))
            yield from (file for file in files if file.suffix.lower() in ENDINGS and is_regular(file))


def _shown_in_folder(folder: Path) -> dict[Format, Path]:
    """The formats of the first files, each with a file."""
    shown: dict[Format, Path] = {}
    looked_into = 0
    for file in islice(_skeleton_files(folder), _LOOKED_AT):
        needs_content = file.suffix.lower() in {*_JSON, *_ARRAYS}
        looked_into += needs_content
        if needs_content and looked_into > _LOOKED_INTO:
            continue
        with suppress(FormatError):  # the file is refused by its name when it is read
            for each in _shown_by_file(file):
                shown.setdefault(each, file)
    return shown


def _shown_by_file(path: Path) -> list[Format]:
    if st_gcn.is_label_file(path):
        return [st_gcn.FORMAT]
    named = _by_suffix(path)
    if named:
        return [named]
    ending = path.suffix.lower()
    if ending in _ARRAYS:
        axes = open_array(path).ndim
        return [each for each in FORMATS if each.axes == axes]
    if ending in _JSON:
        keys = json_keys(_start_of(path))
        return [each for each in FORMATS if any(needed <= keys for needed in each.json_keys)]
    return []


def _by_suffix(path: Path) -> Format | None:
    """The format whose suffix the path has; the one of the longest suffix if there are several."""
    fitting = [each for each in FORMATS if each.suffix and path.name.lower().endswith(each.suffix)]
    return max(fitting, key=lambda each: len(each.suffix), default=None)


def _start_of(path: Path) -> str:
    try:
        require_regular(path)
        with path.open("rb") as file:
            return file.read(_START).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected a JSON file") from error


def json_keys(text: str) -> frozenset[str]:
    """The keys of the first value of a JSON text, which may be cut off.

    A key of the value itself is there as ``key``, one of the objects in it as ``{}.key``, of the objects in a
    list as ``[].key``, and of those in a list under ``a`` as ``a[].key``. An empty list has ``[]``.
    """
    found: set[str] = set()
    above: list[str | None] = []  # for each list that is open None, for each object its last key
    for token in _TOKEN.finditer(text):
        mark, key = token[0], token[1]
        if mark in {"[", "{"}:
            above.append(None if mark == "[" else "")
        elif mark in {"]", "}"}:
            del above[-1:]
            if not above:
                break
        elif token[2] and above and above[-1] is not None:
            above[-1] = key
            match above:
                case [_]:
                    found.add(key)
                case [None, _]:
                    found.add(f"[].{key}")
                case [_, _]:
                    found.add(f"{{}}.{key}")
                case [str(outer), None, _]:
                    found.add(f"{outer}[].{key}")
    return frozenset(found or ["[]"] * bool(_EMPTY_LIST.fullmatch(text)))


def _describe(path: Path) -> str:
    """What was found in a file or folder that shows no format."""
    if path.is_dir():
        return "no file in it shows one"
    ending = path.suffix.lower()
    if ending in _JSON:
        keys = sorted(json_keys(_start_of(path)))[:_SHOWN]
        return f"JSON with {', '.join(map(in_brief, keys))}" if keys else "no JSON with keys at its start"
    if ending in _ARRAYS:
        return f"an array of {open_array(path).ndim} axes"
    return f"its name ends in {ending or 'nothing'}"
