"""The list of videos and their metadata: label, split, subject."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from skdpipe.errors import DataError
from skdpipe.extraction.label_rows import read_label_rows
from skdpipe.folders import folders_below
from skdpipe.regular_file import kind_of
from skdpipe.skeleton import SPLITS
from skdpipe.skeleton.sequence import split_named
from skdpipe.video import EXTENSIONS, is_image_series
from skdpipe.video.images import series_in

T = TypeVar("T")

_SHOWN: Final = 3  # names in a line
_TEXT_BYTES: Final = 4096  # read from a file that may be text


@dataclass(frozen=True)
class VideoItem:
    """A video with its metadata; None if not specified."""

    path: Path
    label: str | None = None
    split: str | None = None
    subject: str | None = None


class VideoList(list[VideoItem]):
    """The videos of a path, in order.

    Attributes:
        left_out: what was found and left out, a line for each reason.
    """

    def __init__(self, items: Iterable[VideoItem] = (), left_out: Sequence[str] = ()) -> None:
        super().__init__(items)
        self.left_out = tuple(left_out)


def find_videos(where: Path, *, labels: bool = True) -> VideoList:
    """Find videos in a file, a folder, a folder of class folders, or a CSV.

    A file is found in a folder by its ending (`EXTENSIONS`). A folder without videos and with two or more
    numbered images is one video; so is a path such as ``frames/img_%05d.jpg``. Links are followed, each
    folder is searched once, and only regular files are opened; hidden files are left out.

    The first level of subfolders of a folder is the label. If it contains splits (train, test, val, ...), all
    of it must be splits, and the second level is the label; videos beside the splits, and those of a split
    without a class folder, are left out.

    A CSV has the columns path and label and, optionally, split and subject; its paths are relative to it.

    Args:
        where: the path.
        labels: if False, all videos of a folder are found and none has a label or a split.

    Raises:
        DataError: if there are no videos, the CSV does not have this form, or a split has an unknown name.
    """
    try:
        if where.is_dir():
            return _in_folder(where, labels=labels)
        if where.suffix.lower() == ".csv" and where.is_file():
            return VideoList(_in_csv(where))
        if where.exists() or (is_image_series(where) and where.parent.is_dir()):
            return VideoList([VideoItem(where)])
    except OSError as error:
        raise DataError(f"{where} cannot be read ({error.strerror}); expected a video or a folder") from error
    raise DataError(
        f"{where} does not exist; expected a video, a folder of videos, or a CSV with path and label"
    )


def _in_folder(folder: Path, *, labels: bool) -> VideoList:
    left_out: defaultdict[str, list[Path]] = defaultdict(list)
    paths = sorted(_videos_below(folder, left_out))
    if not paths:
        raise DataError(
            f"{folder} holds no videos; expected files ending in {', '.join(sorted(EXTENSIONS))}, or "
            f"numbered images{_found_instead(left_out)}"
        )
    items = _labelled(folder, paths, left_out) if labels else [VideoItem(path) for path in paths]
    lines = [_line(reason, found) for reason, found in left_out.items()]
    if not items:
        raise DataError(f"{folder} holds no videos with a label and a split: {'; '.join(lines)}")
    return VideoList(items, lines)


def _videos_below(folder: Path, left_out: dict[str, list[Path]]) -> Iterator[Path]:
    """Videos, and folders that are one; other files are entered in ``left_out`` by the reason."""
    for root, names in _searched_folders(folder, left_out):
        is_hidden = any(part.startswith(".") for part in root.relative_to(folder).parts)
        videos: list[Path] = []
        others: list[Path] = []
        for name, kind in names.items():
            path = root / name
            is_video = path.suffix.lower() in EXTENSIONS
            if is_hidden or name.startswith("."):
                if is_video:
                    left_out["hidden"].append(path)
            elif kind != "file":
                left_out[kind].append(path)
            elif is_video and _is_program_text(path):
                left_out["text, not a video"].append(path)
            else:
                (videos if is_video else others).append(path)
        images = [name for series in series_in(path.name for path in others).values() for name in series]
        if not videos and len(images) > 1:
            yield root
            others = [path for path in others if path.name not in images]
        yield from videos
        for path in others:
            left_out[f"not a video by its ending {path.suffix or '(none)'}"].append(path)


def _searched_folders(folder: Path, left_out: dict[str, list[Path]]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder and those below it, with the names of what is no folder in it and what that is.

    Folders that cannot be read, and links to a folder that was found already, are entered in ``left_out``.
    """
    for each in folders_below(folder):
        if each.error is not None:
            left_out[f"a folder that cannot be read ({each.error.strerror})"].append(each.path)
        elif each.is_repeated:
            left_out["a link to a folder that is searched already"].append(each.path)
        else:
            kinds = {entry.name: _kind_of(entry) for entry in each.entries}
            yield each.path, {name: kind for name, kind in kinds.items() if kind != "folder"}


def _kind_of(entry: os.DirEntry[str]) -> str:
    """What an entry of a folder is, or leads to: a file, a folder, or the reason for which it is left out."""
    if entry.is_file(follow_symlinks=False):
        return "file"
    try:
        kind = kind_of(Path(entry.path))
    except OSError as error:
        return f"a link that leads nowhere ({error.strerror})"
    return kind if kind in {"file", "folder"} else f"a {kind}, not a file"


def _labelled(folder: Path, paths: Sequence[Path], left_out: dict[str, list[Path]]) -> list[VideoItem]:
    """The videos with their labels and splits; those without the folders for both are left out."""
    parents = {path: path.relative_to(folder).parts[:-1] for path in paths}
    first = {parts[0] for parts in parents.values() if parts}
    splits = sorted(name for name in first if split_named(name))
    if not splits:
        return [VideoItem(path, parts[0] if parts else None) for path, parts in parents.items()]
    if others := sorted(first.difference(splits)):
        raise DataError(
            f"{folder} contains {_some(splits)}, a split, and {_some(others)}, which is none; expected only "
            f"splits ({', '.join(sorted(SPLITS))}) or only classes there: rename or move a folder"
        )
    items = []
    for path, parts in parents.items():
        if len(parts) > 1:
            items.append(VideoItem(path, parts[1], split_named(parts[0])))
        else:
            reason = (
                "in a split, but not in the folder of a class" if parts else "beside the folders of splits"
            )
            left_out[f"{reason} ({_some(splits)})" if not parts else reason].append(path)
    return items


def _is_program_text(path: Path) -> bool:
    """Whether a file is text whose ending stands for videos and for program text (TypeScript, Go)."""
    if path.suffix.lower() not in {".ts", ".mts", ".mod"}:
        return False
    try:
        with path.open("rb") as file:
            start = file.read(_TEXT_BYTES)
    except OSError:  # reported when the video is read
        return False
    return start != b"" and b"\0" not in start  # the tables of a stream contain zeros


def _found_instead(left_out: Mapping[str, Sequence[Path]]) -> str:
    lines = [_line(reason, found) for reason, found in left_out.items()]
    return f"; found {'; '.join(lines)}" if lines else ""


def _line(reason: str, paths: Sequence[Path]) -> str:
    names = _some([str(path) for path in paths])
    return f"{names}: {reason}" if len(paths) == 1 else f"{len(paths)} files ({names}): {reason}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown


def _in_csv(file: Path) -> list[VideoItem]:
    rows = read_label_rows(file, ("path",), "a path")
    return [VideoItem(file.parent / row.fields["path"], row.label, row.split, row.subject) for row in rows]


def shard(items: Sequence[T], index: int, count: int) -> list[T]:
    """Every ``count``-th item, starting with item ``index`` (from 0): shards are disjoint and complete.

    Raises:
        DataError: if there is no such shard.
    """
    if not 0 <= index < count:
        raise DataError(f"shard {index + 1} of {count} does not exist; expected i/n with i from 1 to n")
    return list(items[index::count])


def shard_of(items: Sequence[T], text: str) -> list[T]:
    """The shard given as ``i/n``, where i is counted from 1.

    Raises:
        DataError: if the text does not have this form, or there is no such shard.
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and len(text) < 20):
        raise DataError(f"cannot read the shard '{text:.40}'; expected i/n, for example 1/4")
    return shard(items, int(index) - 1, int(count))
