"""The import index: files whose clips were imported, so that unchanged files are not read again."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Final

from skdpipe.cache.json_lines import append_line, is_settled, read_lines
from skdpipe.cache.sequence_file import Quality

FileState = tuple[int, int]
"""Size in bytes and modification time in nanoseconds."""

IMPORT_INDEX: Final = "import-index.jsonl"
"""Name of the file in the root of the cache."""


def state_of(file: Path) -> FileState:
    """The state of a file, or of a folder with its files; zeros if it cannot be determined."""
    try:
        states = [path.stat() for path in ([file, *file.iterdir()] if file.is_dir() else [file])]
    except OSError:
        return (0, 0)
    return sum(each.st_size for each in states), max(each.st_mtime_ns for each in states)


class ImportIndex:
    """Files with one clip each that were imported into a folder of the cache.

    The file ``import-index.jsonl`` in the root of the cache has a line for each file: the version of skdpipe,
    the quality and the settings, the path that was imported, the file, its size and modification time, and
    the clip's key. It only saves time: without it all files are read again.
    """

    def __init__(self, root: Path, quality: Quality, settings: str, imported: Path) -> None:
        self._path = Path(root) / IMPORT_INDEX
        self._start = [version("skdpipe"), quality, settings, str(imported.absolute())]
        self._known: set[tuple[str, int, int, str]] = set()
        for line in read_lines(self._path):
            match line:
                case [*start, str(file), int(size), int(time_ns), str(key)] if start == self._start:
                    self._known.add((file, size, time_ns, key))

    def has(self, file: Path, state: FileState, key: str) -> bool:
        """Whether the file was imported in this state under this key."""
        return (str(file.absolute()), *state, key) in self._known

    def add(self, file: Path, state: FileState, key: str) -> None:
        """Record that the file was imported in this state, which was determined before it was read.

        A file that was changed in the last two seconds is not recorded: it may change again without a new
        modification time.

        Raises:
            CacheError: if the index cannot be written.
        """
        line = (str(file.absolute()), *state, key)
        if line not in self._known and is_settled(state[1]):
            self._known.add(line)
            append_line(self._path, [*self._start, *line])
