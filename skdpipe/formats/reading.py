"""Reading the clips of a data set, optionally with the keys, sizes and frame rates of their videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from skdpipe.cache import settings_slug
from skdpipe.errors import DataError, FormatError, SkdpipeError
from skdpipe.extraction.video_list import find_videos
from skdpipe.formats.clip_names import clip_name
from skdpipe.formats.format import Format, FormatOptions
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence
from skdpipe.video import content_key, probe

_NTU_VIDEO_SUFFIX = "_rgb"  # behind the clip's name in the videos of NTU RGB+D


@dataclass
class ReadingReport:
    """Counts of the clips that were read.

    Attributes:
        done: clips that were used.
        skipped: clips already in the cache.
        left_out: clips that the user excluded.
        failed: the reason for each clip or file that could not be read.
        without_video: clips without a video, if videos were given.
    """

    done: int = 0
    skipped: int = 0
    left_out: int = 0
    failed: list[str] = field(default_factory=list)
    without_video: int = 0


@dataclass(frozen=True)
class Videos:
    """Videos by the name of their clip; None if several have the same name."""

    paths: dict[str, Path | None]

    def of(self, name: str) -> Path | None:
        """The clip's video, or None.

        Raises:
            DataError: if there are several.
        """
        path = self.paths.get(name)
        if path is None and name in self.paths:
            raise DataError(f"two videos have the name {name}; expected one: leave the other out")
        return path


def videos_under(folder: Path) -> Videos:
    """The videos below a folder.

    Raises:
        DataError: if there are none.
    """
    paths: dict[str, Path | None] = {}
    for item in find_videos(folder, labels=False):
        name = clip_name(item.path.name).removesuffix(_NTU_VIDEO_SUFFIX)
        paths[name] = None if name in paths else item.path
    return Videos(paths)


def read_names(path: Path) -> frozenset[str]:
    """Clip names from a text file, one per line; file suffixes and empty lines are ignored.

    Raises:
        FormatError: if the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read ({error}); expected one clip name per line") from error
    return frozenset(clip_name(line.strip()) for line in lines if line.strip())


@dataclass(frozen=True)
class Reading:
    """A data set to read.

    Attributes:
        format: its format.
        where: the path that the user named.
        options: the options for the format.
        videos: the clips' videos, if they are available.
        skip: names of clips to leave out.
    """

    format: Format
    where: Path
    options: FormatOptions = field(default_factory=FormatOptions)
    videos: Videos | None = None
    skip: frozenset[str] = frozenset()

    @property
    def settings(self) -> str:
        """The cache folder; each set of options has its own, since they change skeletons or keys."""
        plain = self.format.cache_folder or self.format.name
        parts = [f"{name} {getattr(self.options, name)}" for name in sorted(self.options.given - {"labels"})]
        parts += [f"classes {' '.join(self.options.classes)}"] if self.options.labels else []
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
    in_cache: Callable[[str], bool] = lambda key: False,
    key_of_video: Callable[[Path], str] = content_key,
) -> Iterator[PoseSequence]:
    """The clips one after the other, with the keys of their videos if these are given.

    Args:
        reading: the data set.
        report: counts the clips; one that raises does not stop the others.
        progress: shows clips per second and, if each file holds one clip, the time left.
        in_cache: whether the clip of a key is already in the cache. Such a clip is left out; if each file
            holds one clip, its file is not read.
        key_of_video: the content key of a clip's video.

    Raises:
        FormatError: if there are no files.
    """
    files = reading.format.find(reading.where)
    one_per_file = reading.format.key_of is not None
    reader = _ClipReader(reading, report, in_cache, key_of_video)
    with progress.task("reading", len(files) if one_per_file else None, unit="clips") as task:
        for number, file in enumerate(files, 1):
            for sequence in reader.read_one(file) if one_per_file else reader.read_many(file):
                report.done += 1
                yield sequence
                if not one_per_file:
                    task.advance_to(report.done + report.skipped)
            if one_per_file:
                task.advance_to(number)


@dataclass
class _ClipReader:
    """Reads files; ``sources`` holds the source of each clip so far, by key."""

    reading: Reading
    report: ReadingReport
    in_cache: Callable[[str], bool]
    key_of_video: Callable[[Path], str]
    sources: dict[str, str] = field(default_factory=dict)

    def read_one(self, file: Path) -> Iterator[PoseSequence]:
        """The only clip of a file, or nothing. Its name and key are known before the file is read."""
        key_of = self.reading.format.key_of
        assert key_of is not None
        try:
            name = clip_name(file.name)
            video = self._video_of(name)
            key = self.key_of_video(video) if video else key_of(file)
            if not self._is_wanted(name, key, str(file)):
                return
            options = _complete(self.reading.options, video) if video else self.reading.options
            (sequence,) = self.reading.format.read(file, self.reading.where, options)
        except SkdpipeError as error:
            self.report.failed.append(str(error))
            return
        yield replace(sequence, origin=replace(sequence.origin, key=key))

    def read_many(self, file: Path) -> Iterator[PoseSequence]:
        """The wanted clips of a file."""
        try:
            clips = self.reading.format.read(file, self.reading.where, self.reading.options)
        except SkdpipeError as error:
            self.report.failed.append(str(error))
            return
        while True:
            try:
                sequence = next(clips)
                origin = sequence.origin
                name = clip_name(origin.source)
                video = self._video_of(name)
                key = self.key_of_video(video) if video else origin.key
                if not self._is_wanted(name, key, origin.source):
                    continue
                fps = (self.reading.options.fps or probe(video).fps) if video else sequence.fps
            except StopIteration:
                return
            except SkdpipeError as error:
                self.report.failed.append(str(error))
                continue
            yield replace(sequence, fps=fps, origin=replace(origin, key=key))

    def _video_of(self, name: str) -> Path | None:
        if self.reading.videos is None or name in self.reading.skip:
            return None
        video = self.reading.videos.of(name)
        self.report.without_video += video is None
        return video

    def _is_wanted(self, name: str, key: str, source: str) -> bool:
        if name in self.reading.skip:
            self.report.left_out += 1
            return False
        if key in self.sources:
            raise DataError(
                f"{source} is the same clip as {self.sources[key]}; expected each name and each video once: "
                "rename one of the two, or leave it out"
            )
        self.sources[key] = source
        if self.in_cache(key):
            self.report.skipped += 1
            return False
        return True


def _complete(options: FormatOptions, video: Path) -> FormatOptions:
    """The options, with the size and the frame rate of the video if they are not given."""
    info = probe(video)
    return replace(options, size=options.size or info.size, fps=options.fps or info.fps)
