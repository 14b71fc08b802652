"""Reading the clips of a data set, optionally with the keys, sizes and frame rates of their videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from skdpipe.cache import settings_slug
from skdpipe.config import read_layout
from skdpipe.errors import DataError, SkdpipeError
from skdpipe.extraction.video_list import find_videos
from skdpipe.formats.clip_names import path_below, path_of_clip, without_endings
from skdpipe.formats.folder_files import read_lines
from skdpipe.formats.format import Format, FormatOptions, InputFile, Surroundings, unexpected
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence, clip_key
from skdpipe.video import content_key, probe

_VIDEO_ENDINGS = ("_rgb", "_color")  # behind the clip's name in the videos of NTU RGB+D and of UTD-MHAD


@dataclass
class ReadingReport:
    """Counts of the clips that were read.

    Attributes:
        done: clips that were used.
        skipped: clips already in the cache.
        replaced: clips whose skeletons in the cache were others, from the same file.
        relabelled: clips already in the cache whose label, split or subject changed.
        corrected: clips whose label, split or subject was corrected by hand and kept.
        left_out: clips that the user excluded.
        failed: the reason for each clip or file that could not be read; one reason for all clips of a file
            that share it.
        failures: number of clips and files that could not be read.
        without_video: clips without a video, if videos were given.
        notes: what else was left out or changed, and how many times.
    """

    done: int = 0
    skipped: int = 0
    replaced: int = 0
    relabelled: int = 0
    corrected: int = 0
    left_out: int = 0
    failed: list[str] = field(default_factory=list)
    failures: int = 0
    without_video: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    _kinds: dict[str, tuple[int, str, int]] = field(default_factory=dict, repr=False)

    def add_failure(self, reason: str, kind: str = "") -> None:
        """Count a failure; of failures of one kind only the first reason is kept, with their number."""
        self.failures += 1
        place, first, count = self._kinds.get(kind, (len(self.failed), reason, 0))
        if not kind or not count:
            self.failed.append(reason)
        else:
            self.failed[place] = f"{first} (and {count} more clips for this reason)"
        if kind:
            self._kinds[kind] = (place, first, count + 1)

    def add_error(self, error: Exception, where: object) -> None:
        """Count the failure of a file or of one of its clips; an error of any other kind is described.

        Args:
            error: what was raised.
            where: the file, for errors that do not name it.
        """
        failure = error if isinstance(error, SkdpipeError) else unexpected(error, where)
        self.add_failure(str(failure), f"{where} {failure.kind}" if failure.kind else "")

    def add_note(self, what: str, count: int) -> None:
        """Count what was left out or changed."""
        if count:
            self.notes[what] += count


@dataclass(frozen=True)
class Videos:
    """Videos with their paths, as `path_of_clip`, by the name of their clip."""

    by_name: dict[str, list[tuple[tuple[str, ...], Path]]]

    def of(self, clip: str, *, name_suffices: bool = True) -> Path | None:
        """The clip's video: that of the same path, otherwise of the longest end of it that a video has.

        Args:
            clip: the clip's name, with or without folders.
            name_suffices: whether a video of the same name in another folder may be the clip's.

        Raises:
            DataError: if there are several.
        """
        path = path_of_clip(clip)
        named = self.by_name.get(path[-1], [])
        with_path = len(path) > 1 or not name_suffices
        found = [video for parts, video in named if with_path and parts == path]
        for count in range(len(path), 1 - name_suffices, -1):
            found = found or [video for parts, video in named if parts[-count:] == path[-count:]]
        if len(found) > 1:
            raise DataError(
                f"two videos have the name {clip} ({found[0]}, {found[1]}); expected one: leave the other out"
            )
        return found[0] if found else None


def videos_under(folder: Path) -> Videos:
    """The videos below a folder.

    Raises:
        DataError: if there are none.
    """
    by_name: dict[str, list[tuple[tuple[str, ...], Path]]] = {}
    root = folder if folder.is_dir() else folder.parent
    for item in find_videos(folder, labels=False):
        *folders, name = path_below(root, item.local_path)
        for ending in _VIDEO_ENDINGS:
            name = name.removesuffix(ending)
        by_name.setdefault(name, []).append(((*folders, name), item.local_path))
    return Videos(by_name)


def read_names(path: Path) -> frozenset[str]:
    """Clip names from a text file, one per line; file suffixes and empty lines are ignored.

    Raises:
        FormatError: if the file cannot be read.
    """
    return frozenset(without_endings(line) for line in read_lines(path, "one clip name per line") if line)


@dataclass(frozen=True)
class Reading:
    """A data set to read.

    Attributes:
        format: its format.
        where: the path that the user named.
        options: the options for the format.
        videos: the clips' videos, if they are available.
        skip: names of clips to leave out; a name with folders only leaves out clips whose path ends so.
    """

    format: Format
    where: Path
    options: FormatOptions = field(default_factory=FormatOptions)
    videos: Videos | None = None
    skip: frozenset[str] = frozenset()

    @property
    def settings(self) -> str:
        """The cache folder; each set of options has its own, since they change skeletons, splits or keys.

        Class names do not: a corrected label map replaces the labels of the clips in the cache.
        """
        plain = self.format.cache_folder or self.format.name
        given = sorted(self.options.given - {"labels", "layout"})
        parts = [f"{name} {getattr(self.options, name)}" for name in given]
        if self.options.layout:
            parts.append(f"layout {read_layout(self.options.layout)}")  # of a file the content, not the path
            parts.sort()
        parts += ["keys of videos"] if self.videos else []
        return settings_slug(plain, ", ".join(parts)) if parts else plain


def reading_of(
    format: Format,  # noqa: A002
    where: Path,
    options: FormatOptions,
    videos: Path | None,
    skip: Path | None,
) -> Reading:
    """A reading with the videos below a folder, and without the clips that a file names.

    Raises:
        DataError: if the folder contains no videos.
        FormatError: if the file cannot be read.
    """
    found = videos_under(videos) if videos else None
    return Reading(format, where, options, found, read_names(skip) if skip else frozenset())


def read_clips(
    reading: Reading,
    report: ReadingReport,
    progress: Progress,
    is_known: Callable[[Path, str], bool] = lambda file, key: False,
    key_of_video: Callable[[Path], str] = content_key,
) -> Iterator[tuple[Path, PoseSequence]]:
    """The clips one after the other, each with its file, with the keys of their videos if these are given.

    Args:
        reading: the data set.
        report: counts the clips that are not yielded; one that raises does not stop the others.
        progress: shows clips per second and, if each file holds one clip, the time left.
        is_known: whether a file that holds one clip, with this key, need not be read.
        key_of_video: the content key of a clip's video.

    Raises:
        FormatError: if there are no files.
    """
    files = reading.format.files(reading.where)
    try:
        for what, count in reading.format.left_out(reading.where).items():
            report.add_note(what, count)
    except Exception as error:
        report.add_error(error, reading.where)
    one_clip = reading.format.one_clip
    reader = _ClipReader(reading, report, is_known, key_of_video)
    clips = 0
    with progress.task("reading", len(files) if one_clip else None, unit="clips") as task:
        for number, file in enumerate(files, 1):
            for sequence in reader.read_one(file) if one_clip else reader.read_many(file):
                yield file.path, sequence
                clips += 1
                if not one_clip:
                    task.advance_to(clips)
            if one_clip:
                task.advance_to(number)


@dataclass
class _ClipReader:
    """Reads files; ``known`` holds the source and the file of each clip so far, by key."""

    reading: Reading
    report: ReadingReport
    is_known: Callable[[Path, str], bool]
    key_of_video: Callable[[Path], str]
    known: dict[str, tuple[str, Path]] = field(default_factory=dict)

    def read_one(self, file: InputFile) -> Iterator[PoseSequence]:
        """The only clip of a file, or nothing. Its name and key are known before the file is read."""
        reading, where = self.reading, str(file.path)
        try:
            if self._is_skipped(file.clip_path):
                return
            named = len(file.clip_path) == 1 or file.clip != "/".join(file.clip_path)
            video = self._video_of(file.clip_path, named)
            where += f" with its video {video}" if video else ""
            key = self.key_of_video(video) if video else reading.format.key_of_file(file)
            self._require_new(key, str(file.path), file.path)
            if self.is_known(file.path, key):
                self.report.skipped += 1
                return
            options = _complete(reading.options, video) if video else reading.options
            around = Surroundings(note=self.report.add_note)
            (sequence,) = reading.format.read_file(file, reading.where, options, around)
        except Exception as error:
            self.report.add_error(error, where)
            return
        yield replace(sequence, origin=replace(sequence.origin, key=key))

    def read_many(self, file: InputFile) -> Iterator[PoseSequence]:
        """The wanted clips of a file."""
        reading = self.reading
        around = Surroundings(note=self.report.add_note, size_of=self._size_of if reading.videos else None)
        try:
            clips = reading.format.read_file(file, reading.where, reading.options, around)
        except Exception as error:
            self.report.add_error(error, file.path)
            return
        while True:
            try:
                sequence = next(clips)
                origin = sequence.origin
                path = _path_in(file, origin.source)
                if self._is_skipped(path):
                    continue
                video = self._video_of(path, _is_named(path, origin.key))
                key = self.key_of_video(video) if video else origin.key
                self._require_new(key, origin.source, file.path)
                fps = (reading.options.fps or probe(video).fps) if video else sequence.fps
            except StopIteration:
                return
            except Exception as error:
                self.report.add_error(error, file.path)
                continue
            yield replace(sequence, fps=fps, origin=replace(origin, key=key))

    def _video_of(self, path: tuple[str, ...], named: bool) -> Path | None:
        if self.reading.videos is None:
            return None
        video = self.reading.videos.of("/".join(path), name_suffices=named)
        self.report.without_video += video is None
        return video

    def _size_of(self, path: tuple[str, ...]) -> tuple[int, int] | None:
        video = self.reading.videos.of("/".join(path)) if self.reading.videos else None
        return probe(video, square_pixels=False).size if video else None

    def _is_skipped(self, path: tuple[str, ...]) -> bool:
        ends = {"/".join(path[start:]) for start in range(len(path))}
        skipped = bool(ends & self.reading.skip)
        self.report.left_out += skipped
        return skipped

    def _require_new(self, key: str, source: str, file: Path) -> None:
        if key in self.known:
            other, other_file = self.known[key]
            error = DataError(
                f"{source} is the same clip as {other}; expected each name and each video once: "
                "rename one of the two, or leave it out"
            )
            error.kind = f"clip of {other_file}"
            raise error
        self.known[key] = (source, file)


def _path_in(file: InputFile, source: str) -> tuple[str, ...]:
    """The path of a clip in a file with several: the rest of its source behind the file."""
    path = Path(source)
    inside = path_of_clip(path.relative_to(file.path) if file.path in path.parents else path)
    return file.clip_path if inside == file.clip_path[-1:] else inside


def _is_named(path: tuple[str, ...], key: str) -> bool:
    """Whether the key is not that of the whole path."""
    return len(path) == 1 or key != clip_key("/".join(path))


def _complete(options: FormatOptions, video: Path) -> FormatOptions:
    """The options, with the size and the frame rate of the video if they are not given."""
    info = probe(video, square_pixels=False)
    return replace(options, size=options.size or info.size, fps=options.fps or info.fps)
