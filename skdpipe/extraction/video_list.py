"""The list of videos and their metadata: label, split, subject."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from skdpipe.errors import DataError
from skdpipe.skeleton import SPLITS
from skdpipe.video import EXTENSIONS

T = TypeVar("T")


@dataclass(frozen=True)
class VideoItem:
    """A video with its metadata; None if not specified."""

    path: Path
    label: str | None = None
    split: str | None = None
    subject: str | None = None


def find_videos(where: Path) -> list[VideoItem]:
    """Find videos in a file, a folder, a folder of class folders, or a CSV.

    In a folder, the first level of subfolders is the label. If all names of the first level are splits
    (train, test, val, ...), the first level is the split and the second the label. Links are followed; hidden
    files are left out. A CSV has the columns path and label and, optionally, split and subject; its paths are
    relative to the CSV.

    Raises:
        DataError: if there are no videos, or the CSV does not have this form.
    """
    if where.is_dir():
        return _in_folder(where)
    if where.suffix.lower() == ".csv" and where.is_file():
        return _in_csv(where)
    if where.exists():
        return [VideoItem(where)]
    raise DataError(
        f"{where} does not exist; expected a video, a folder of videos, or a CSV with path and label"
    )


def _in_folder(folder: Path) -> list[VideoItem]:
    paths = sorted(
        Path(root, name)
        for root, _, names in os.walk(folder, followlinks=True)
        for name in names
        if Path(name).suffix.lower() in EXTENSIONS and not name.startswith(".")
    )
    if not paths:
        raise DataError(f"{folder} holds no videos; expected files ending in {', '.join(sorted(EXTENSIONS))}")
    parents = [path.relative_to(folder).parts[:-1] for path in paths]
    split_first = all(part and part[0].lower() in SPLITS for part in parents)
    items = []
    for path, parts in zip(paths, parents, strict=True):
        split = parts[0].lower() if split_first else None
        rest = parts[1:] if split_first else parts
        items.append(VideoItem(path, rest[0] if rest else None, split))
    return items


def _in_csv(file: Path) -> list[VideoItem]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = [[field.strip() for field in row] for row in csv.reader(text)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is not a readable UTF-8 CSV ({error})") from error
    columns = rows[0] if rows else []
    if not {"path", "label"} <= set(columns):
        raise DataError(
            f"{file} has the columns {', '.join(columns) or '(none)'}; expected path, label and, optionally, "
            "split, subject, separated by commas"
        )
    items = [_in_row(file, number, columns, row) for number, row in enumerate(rows[1:], 2) if any(row)]
    if not items:
        raise DataError(f"{file} has a header but no rows; expected a row for each video")
    return items


def _in_row(file: Path, number: int, columns: Sequence[str], row: Sequence[str]) -> VideoItem:
    fields = dict(zip(columns, row, strict=False))
    if len(row) > len(columns) or not fields.get("path"):
        raise DataError(
            f"{file}: row {number} has {len(row)} fields ({', '.join(row)}); expected a path and at most "
            f"{len(columns)} fields: put quotes around a field with commas"
        )
    label, split, subject = (fields.get(name) or None for name in ("label", "split", "subject"))
    return VideoItem(file.parent / fields["path"], label, split, subject)


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
    if not (index.isdecimal() and count.isdecimal()):
        raise DataError(f"cannot read the shard '{text}'; expected i/n, for example 1/4")
    return shard(items, int(index) - 1, int(count))
