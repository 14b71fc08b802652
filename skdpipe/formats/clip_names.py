"""Names of clips, and the folders that hold them: ``split/label/name``.

What is read together has distinct clips: if all names are distinct, they identify the clips, as in every
other format; otherwise the paths below the folder that was named do, without suffixes (``wave/1``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from skdpipe.errors import FormatError
from skdpipe.formats.folder_files import paths_below
from skdpipe.names import problem_of
from skdpipe.skeleton import SPLITS, Origin, clip_key
from skdpipe.skeleton.sequence import split_named
from skdpipe.video import EXTENSIONS

_LONGEST_PATH = 4096
_LONGEST_FILE_NAME = 200  # bytes; with endings at most 255
_SUFFIXES = EXTENSIONS | {".json", ".jsonl", ".mat", ".npy", ".openpifpaf", ".pkl", ".skeleton"}
_LONGEST_NAME = 1_000  # characters of a clip's name with its folders


def clip_name(source: str) -> str:
    """The name of a clip: its file name without the suffixes of videos and skeleton files."""
    return without_endings(Path(source).name)


def without_endings(name: str) -> str:
    """The name, with its folders if it has any, without the suffixes of videos and skeleton files."""
    while len(name) <= _LONGEST_PATH and Path(name).suffix.lower() in _SUFFIXES:
        name = name[: -len(Path(name).suffix)]
    return name


def path_of_clip(path: PurePath | str) -> tuple[str, ...]:
    """The folders and the name of a clip, without suffixes."""
    return PurePath(without_endings(str(path))).parts


def path_below(root: Path, file: Path) -> tuple[str, ...]:
    """`path_of_clip` from ``root``; only the name if the file is not below it."""
    if root in file.parents:
        return path_of_clip(file.relative_to(root))
    return (clip_name(file.name or file.resolve().name),)


def is_clip_name(value: object) -> bool:
    """Whether a value from a file can name a clip: text of at most 1,000 whole characters."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def distinct_names(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """A name for each path of a clip: the last part if these are distinct, otherwise the whole path."""
    names = [path[-1] if path else "" for path in paths]
    return names if len(set(names)) == len(names) else ["/".join(path) for path in paths]


def key_of_name(file: Path) -> str:
    """The key of the clip that the file or folder is named after."""
    return clip_key(clip_name(file.name))


def distinct_name(origin: Origin, taken: set[str]) -> str:
    """The clip's name, which is added to ``taken``; if it is taken, the start of the clip's key is appended.

    Raises:
        FormatError: if two clips have the same name and key, or a clip has neither.
    """
    name = clip_name(origin.source)
    # A name of dots would lead out of the folder.
    if not name.strip(".") or problem_of(name, _LONGEST_FILE_NAME):
        name = origin.key[:16]
    if not name:
        raise FormatError("a clip has neither a source nor a key; expected one: set its origin's source")
    if name in taken:
        name = f"{name}-{origin.key[:12]}"
    if name in taken:
        raise FormatError(f"two clips have the name {name}; expected different names: leave one out")
    taken.add(name)
    return name


def match_name(path: Path, name: re.Pattern[str], example: str) -> re.Match[str]:
    """The parts of a file's name; arguments as for :func:`find_named`.

    Raises:
        FormatError: if the file has another name.
    """
    match = name.fullmatch(path.stem)
    if match is None:
        raise FormatError(f"{path} is not named like {example}; restore its name")
    return match


def find_named(path: Path, name: re.Pattern[str], example: str) -> tuple[Path, ...]:
    """The file itself, or all files under a folder that are named as a data set names them, sorted.

    Args:
        path: the file or folder.
        name: matches the names of the files without their ending.
        example: the name of a file, with the ending of all.

    Raises:
        FormatError: if there are none, or a file has another name.
    """
    if path.is_file():
        match_name(path, name, example)
        return (path,)
    files = paths_below(path, Path(example).suffix)
    found = tuple(each for each in files if name.fullmatch(each.stem))
    if not found:
        raise FormatError(f"no files like {example} under {path}; expected the files of the data set")
    return found


def label_and_split(folders: Sequence[str]) -> tuple[str | None, str | None]:
    """Label and split by the folders above a clip: ``label``, or ``train/label``, as by `split_named`.

    A clip in the folder of a split, without one of a class, has no label.
    """
    split = split_named(folders[0]) if folders else None
    rest = folders[1:] if split else folders
    return (rest[0] if rest else None), split


def folders_between(root: Path | None, file: Path) -> tuple[str, ...]:
    """The folders between ``root`` and the file; none if the file is not below it."""
    return file.relative_to(root).parts[:-1] if root and root in file.parents else ()


def folders_for(origin: Origin) -> tuple[str, ...]:
    """The folders of a clip, from which `label_and_split` recovers its label and split.

    Raises:
        FormatError: if the label cannot name a folder.
    """
    if origin.label is None:
        return ()
    if not origin.label.strip(". ") or {"/", "\\", "\0"} & set(origin.label):
        raise FormatError(f"{origin.source}: label {origin.label!r} cannot name a folder; rename the class")
    if origin.split not in SPLITS and split_named(origin.label):
        raise FormatError(
            f"{origin.source}: label {origin.label!r} as a folder would be a split; rename the class"
        )
    return (origin.split, origin.label) if origin.split in SPLITS else (origin.label,)
