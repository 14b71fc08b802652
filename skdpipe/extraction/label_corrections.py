"""Corrected labels from a CSV, whose rows name clips by their keys or by the paths of their videos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Final

from skdpipe.cache import PoseCache
from skdpipe.cache.corrections import Correction
from skdpipe.cache.video_index import VideoIndex
from skdpipe.errors import DataError, VideoError
from skdpipe.extraction.label_rows import LabelRow, read_label_rows
from skdpipe.progress import Progress
from skdpipe.video import is_image_series

_COLUMNS: Final = ("key", "path")


@dataclass(frozen=True)
class LabelList:
    """The rows of a CSV.

    Attributes:
        corrections: by the key of the clip.
        unknown: the rows whose video is not in the cache, a line for each.
    """

    corrections: Mapping[str, Correction]
    unknown: tuple[str, ...]


def read_corrections(file: Path, cache: PoseCache, progress: Progress | None = None) -> LabelList:
    """Read a CSV with the columns key or path, label and, optionally, split and subject.

    An empty field leaves the value as it is. A path is that of a video, from the folder of the CSV, which is
    recognised by its content; the path of a file that is no video of the cache or does not exist any more is
    compared with the sources of the cached sequences. Further columns are ignored, so that the output of
    ``skdpipe cache list --clips`` can be edited and read.

    Raises:
        DataError: if the file does not have this form, or two rows give a clip different labels.
    """
    rows = read_label_rows(file, _COLUMNS, "a key or a path")
    progress = progress or Progress(quiet=True)
    index, keys = VideoIndex(cache.root), cache.all_keys()
    sources = once(lambda: _keys_by_source(cache))
    found: dict[str, tuple[Correction, str]] = {}
    unknown = []
    with progress.task("reading labels", len(rows), unit="rows") as task:
        for number, row in enumerate(rows, 1):
            key = row.fields.get("key") or _key_of_path(row, file.parent, index, keys, sources)
            if key not in keys:
                name = row.fields.get("key") or row.fields["path"]
                unknown.append(f"{row.where}: {name} is not in the cache; correct it, or extract the video")
            else:
                right = Correction(row.label, row.split, row.subject)
                known, where = found.setdefault(key, (right, row.where))
                if known != right:
                    raise DataError(
                        f"{row.where} and {where} give clip {key} different labels; expected one row for it"
                    )
            task.advance_to(number)
    return LabelList({key: right for key, (right, _) in found.items()}, tuple(unknown))


def _key_of_path(
    row: LabelRow,
    folder: Path,
    index: VideoIndex,
    keys: set[str],
    sources: Callable[[], Mapping[str, set[str]]],
) -> str:
    """The key of the clip that a row names by a path; empty if there is none.

    Raises:
        DataError: if several clips have this source.
    """
    named = row.fields["path"]
    path = folder / named
    if path.is_file() or is_image_series(path):
        try:
            if (key := index.key_of(path)) in keys:
                return key
        except VideoError:  # no video, but perhaps the file of skeletons
            pass
    found = (
        sources().get(named, set()) | sources().get(str(path), set()) | sources().get(_absolute(path), set())
    )
    if len(found) > 1:
        raise DataError(
            f"{row.where}: {len(found)} clips have the source {named}; name one of them in a column key: "
            f"{', '.join(sorted(found)[:3])}"
        )
    return next(iter(found), "")


def _keys_by_source(cache: PoseCache) -> Mapping[str, set[str]]:
    """The keys of the clips by source, as it is stated and as an absolute path."""
    keys = defaultdict(set)
    for entry in cache.entries(skip_damaged=True):
        for source in {entry.origin.source, _absolute(Path(entry.origin.source))}:
            keys[source].add(entry.origin.key)
    return keys


def _absolute(path: Path) -> str:
    return str(path.absolute())
