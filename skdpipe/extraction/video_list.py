"""The list of videos and their metadata: label, split, subject."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from skdpipe.errors import DataError
from skdpipe.extraction.label_rows import read_label_rows
from skdpipe.folders import folders_below
from skdpipe.regular_file import kind_of
from skdpipe.skeleton import SPLITS
from skdpipe.skeleton.sequence import split_named
from skdpipe.storage import Place, State, files_below, local_copy, place_of, read_start
from skdpipe.video import EXTENSIONS, is_image_series
from skdpipe.video.images import series_in

if TYPE_CHECKING:
    from upath import UPath

T = TypeVar("T")

_SHOWN: Final = 3  # names in a line
_TEXT_BYTES: Final = 4096  # read from a file that may be text


@dataclass(frozen=True)
class VideoItem:
    """A video with its metadata; None if not specified.

    Attributes:
        path: its path, or its address in a store.
        label, split, subject: the metadata.
        state: of the file when it was listed, if that is known.
    """

    path: Place
    label: str | None = None
    split: str | None = None
    subject: str | None = None
    state: State | None = field(default=None, compare=False)

    @property
    def local_path(self) -> Path:
        """The path, for what does not read videos from a store.

        Raises:
            DataError: if the video is in a store.
        """
        if not isinstance(self.path, Path):
            raise DataError(f"{self.path} is in a store; expected a video on this machine: copy it there")
        return self.path


class VideoList(list[VideoItem]):
    """The videos of a path, in order.

    Attributes:
        left_out: what was found and left out, a line for each reason.
    """

    def __init__(self, items: Iterable[VideoItem] = (), left_out: Sequence[str] = ()) -> None:
        super().__init__(items)
        self.left_out = tuple(left_out)


def find_videos(where: Place | str, *, labels: bool = True) -> VideoList:
    """Find videos in a file, a folder, a folder of class folders, or a CSV.

    A file is found in a folder by its ending (`EXTENSIONS`). A folder without videos and with two or more
    numbered images is one video; so is a path such as ``frames/img_%05d.jpg``. Links are followed, each
    folder is searched once, and only regular files are opened; hidden files are left out.

    The first level of subfolders of a folder is the label. If it contains splits (train, test, val, ...), all
    of it must be splits, and the second level is the label; videos beside the splits, and those of a split
    without a class folder, are left out.

    A CSV has the columns path and label and, optionally, split and subject; its paths are relative to it, or
    addresses.

    Of a folder in a store, such as ``s3://bucket/videos``, all files are listed at once; series of images are
    left out there.

    Args:
        where: the path or the address.
        labels: if False, all videos of a folder are found and none has a label or a split.

    Raises:
        DataError: if there are no videos, the CSV does not have this form, or a split has an unknown name.
    """
    where = place_of(where)
    if not isinstance(where, Path):
        return _in_store(where, labels=labels)
    try:
        if where.is_dir():
            return _in_folder(where, labels=labels)
        if where.suffix.lower() == ".csv" and where.is_file():
            return VideoList(_in_csv(where, where.parent))
        if where.exists() or (is_image_series(where) and where.parent.is_dir()):
            return VideoList([VideoItem(where)])
    except OSError as error:
        raise DataError(f"{where} cannot be read ({error.strerror}); expected a video or a folder") from error
    raise DataError(
        f"{where} does not exist; expected a video, a folder of videos, or a CSV with path and label"
    )


def _in_store(where: UPath, *, labels: bool) -> VideoList:
    try:
        if where.suffix.lower() == ".csv":
            with local_copy(where) as file:
                return VideoList(_in_csv(file, where.parent))
        states = files_below(where)
    except OSError as error:
        raise DataError(
            f"{where} cannot be read ({error.strerror}); expected a video, a folder of videos, or a CSV with "
            "path and label: correct the address, the endpoint or the credentials"
        ) from error
    if where in states:
        return VideoList([VideoItem(where, state=states[where])])
    left_out: defaultdict[str, list[Place]] = defaultdict(list)
    paths = list(_videos_among(states, where, left_out))
    found = _list_of(where, paths, left_out, labels=labels)
    return VideoList([replace(item, state=states[item.path]) for item in found], found.left_out)


def _videos_among(files: Iterable[Place], folder: Place, left_out: dict[str, list[Place]]) -> Iterator[Place]:
    """The videos of a store; other files are entered in ``left_out`` by the reason."""
    for path in files:
        is_video = path.suffix.lower() in EXTENSIONS
        if any(part.startswith(".") for part in _parts_below(folder, path)):
            if is_video:
                left_out["hidden"].append(path)
        elif not is_video:
            left_out[f"not a video by its ending {path.suffix or '(none)'}"].append(path)
        elif _is_program_text(path):
            left_out["text, not a video"].append(path)
        else:
            yield path


def _parts_below(folder: Place, path: Place) -> tuple[str, ...]:
    return tuple(path.parts[len(folder.parts) :])


def _in_folder(folder: Path, *, labels: bool) -> VideoList:
    left_out: defaultdict[str, list[Place]] = defaultdict(list)
    return _list_of(folder, sorted(_videos_below(folder, left_out)), left_out, labels=labels)


def _list_of(
    folder: Place, paths: Sequence[Place], left_out: dict[str, list[Place]], *, labels: bool
) -> VideoList:
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


def _videos_below(folder: Path, left_out: dict[str, list[Place]]) -> Iterator[Path]:
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


def _searched_folders(
    folder: Path, left_out: dict[str, list[Place]]
) -> Iterator[tuple[Path, dict[str, str]]]:
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


def _labelled(folder: Place, paths: Sequence[Place], left_out: dict[str, list[Place]]) -> list[VideoItem]:
    """The videos with their labels and splits; those without the folders for both are left out."""
    parents = {path: _parts_below(folder, path)[:-1] for path in paths}
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


def _is_program_text(path: Place) -> bool:
    """Whether a file is text whose ending stands for videos and for program text (TypeScript, Go)."""
    if path.suffix.lower() not in {".ts", ".mts", ".mod"}:
        return False
    try:
        start = read_start(path).content[:_TEXT_BYTES]
    except OSError:  # reported when the video is read
        return False
    return start != b"" and b"\0" not in start  # the tables of a stream contain zeros


def _found_instead(left_out: Mapping[str, Sequence[Place]]) -> str:
    lines = [_line(reason, found) for reason, found in left_out.items()]
    return f"; found {'; '.join(lines)}" if lines else ""


def _line(reason: str, paths: Sequence[Place]) -> str:
    names = _some([str(path) for path in paths])
    return f"{names}: {reason}" if len(paths) == 1 else f"{len(paths)} files ({names}): {reason}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown


def _in_csv(file: Path, folder: Place) -> list[VideoItem]:
    items = []
    for row in read_label_rows(file, ("path",), "a path"):
        named = row.fields["path"]
        path = place_of(named) if "://" in named else folder / named
        items.append(VideoItem(path, row.label, row.split, row.subject))
    return items


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
