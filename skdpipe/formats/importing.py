"""Foreign skeletons into the cache: resumable, nothing lost; an imported clip can pair with its video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from skdpipe.cache import PoseCache, Quality, settings_slug
from skdpipe.errors import DataError, FormatError, SkdpipeError
from skdpipe.extraction.video_list import find_videos
from skdpipe.formats.catalogue import Format, Options
from skdpipe.formats.defaults import clip_name
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence
from skdpipe.video import content_key, probe

_VIDEO_ONLY = "_rgb"  # behind the clip's name in the videos of NTU RGB+D


@dataclass
class ReadingReport:
    """What became of the clips that were read.

    Attributes:
        done, skipped: clips that were used now, and those that were there already.
        left_out: clips that the user did not want.
        failed: the reason of every clip or file that could not be read.
        without_video: clips for which no video was found, where videos were given.
    """

    done: int = 0
    skipped: int = 0
    left_out: int = 0
    failed: list[str] = field(default_factory=list)
    without_video: int = 0


@dataclass(frozen=True)
class Videos:
    """Videos by the name of their clip; None where two have the same name."""

    paths: dict[str, Path | None]

    def of(self, name: str) -> Path | None:
        """The clip's video, if there is one.

        Raises:
            DataError: if there are two.
        """
        path = self.paths.get(name)
        if path is None and name in self.paths:
            raise DataError(f"two videos are called {name}; expected one: leave the other out")
        return path


def videos_under(folder: Path) -> Videos:
    """The videos of a folder and the folders in it.

    Raises:
        DataError: if there are none.
    """
    paths: dict[str, Path | None] = {}
    for item in find_videos(folder):
        name = clip_name(item.path.name).removesuffix(_VIDEO_ONLY)
        paths[name] = None if name in paths else item.path
    return Videos(paths)


def read_names(path: Path) -> frozenset[str]:
    """Names of clips from a text file, a line each; endings of files do not matter, nor do empty lines.

    Raises:
        FormatError: if the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read ({error}); expected the name of a clip a line") from error
    return frozenset(clip_name(line.strip()) for line in lines if line.strip())


@dataclass(frozen=True)
class Reading:
    """What is to be read, and how.

    Attributes:
        format: the format.
        where: the path that the user named.
        options: what the user says about it.
        videos: the clips' videos, if they are at hand.
        skip: names of clips that are not wanted.
    """

    format: Format
    where: Path
    options: Options = field(default_factory=Options)
    videos: Videos | None = None
    skip: frozenset[str] = frozenset()

    @property
    def settings(self) -> str:
        """The cache folder: another one for other options, which may give other skeletons or keys."""
        plain = self.format.settings or self.format.name
        said = [f"{name} {getattr(self.options, name)}" for name in sorted(self.options.given - {"labels"})]
        said += [f"classes {' '.join(self.options.classes)}"] if self.options.labels else []
        said += ["keys of videos"] if self.videos else []
        return settings_slug(plain, ", ".join(said)) if said else plain


def reading_of(
    known: Format, where: Path, options: Options, videos: Path | None, skip: Path | None
) -> Reading:
    """A reading with the videos under a folder and the unwanted names in a file, if these are given.

    Raises:
        DataError: if the folder holds no videos.
        FormatError: if the file cannot be read.
    """
    at_hand = videos_under(videos) if videos else None
    return Reading(known, where, options, at_hand, read_names(skip) if skip else frozenset())


def read_clips(
    reading: Reading,
    report: ReadingReport,
    progress: Progress,
    there: Callable[[str], bool] = lambda key: False,
) -> Iterator[PoseSequence]:
    """The clips one after the other, under the keys of their videos where these are at hand.

    Args:
        reading: what is to be read.
        report: is told what is left out, there already, or refused; refused clips do not stop the others.
        progress: shows clips a second and, where each file holds one, time left.
        there: whether a key's clip is there already; such clips are left out, and not even read where a
            file holds one.

    Raises:
        FormatError: if there are no files.
    """
    files = reading.format.find(reading.where)
    one_each = reading.format.key_of is not None
    reader = _Reader(reading, report, there)
    with progress.task("reading", len(files) if one_each else None, unit="clips") as task:
        for number, file in enumerate(files, 1):
            for sequence in reader.only(file) if one_each else reader.many(file):
                report.done += 1
                yield sequence
                if not one_each:
                    task.advance_to(report.done + report.skipped)
            if one_each:
                task.advance_to(number)


@dataclass
class _Reader:
    """Reads file after file, and remembers which clips came already, by key."""

    reading: Reading
    report: ReadingReport
    there: Callable[[str], bool]
    seen: dict[str, str] = field(default_factory=dict)

    def only(self, file: Path) -> Iterator[PoseSequence]:
        """The one clip of a file, of which much is known before it is read; none if it is not wanted."""
        key_of = self.reading.format.key_of
        assert key_of is not None
        try:
            name = clip_name(file.name)
            video = self._video(name)
            key = content_key(video) if video else key_of(file)
            if not self._wants(name, key, str(file)):
                return
            options = _completed(self.reading.options, video) if video else self.reading.options
            (sequence,) = self.reading.format.read(file, self.reading.where, options)
        except SkdpipeError as error:
            self.report.failed.append(str(error))
            return
        yield replace(sequence, origin=replace(sequence.origin, key=key))

    def many(self, file: Path) -> Iterator[PoseSequence]:
        """The clips of a file that are wanted."""
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
                video = self._video(name)
                key = content_key(video) if video else origin.key
                if not self._wants(name, key, origin.source):
                    continue
                fps = (self.reading.options.fps or probe(video).fps) if video else sequence.fps
            except StopIteration:
                return
            except SkdpipeError as error:
                self.report.failed.append(str(error))
                continue
            yield replace(sequence, fps=fps, origin=replace(origin, key=key))

    def _video(self, name: str) -> Path | None:
        if self.reading.videos is None or name in self.reading.skip:
            return None
        video = self.reading.videos.of(name)
        self.report.without_video += video is None
        return video

    def _wants(self, name: str, key: str, source: str) -> bool:
        if name in self.reading.skip:
            self.report.left_out += 1
            return False
        if key in self.seen:
            raise DataError(
                f"{source} is the same clip as {self.seen[key]}; expected each name and each video once: "
                "rename one of the two, or leave it out"
            )
        self.seen[key] = source
        if self.there(key):
            self.report.skipped += 1
            return False
        return True


def _completed(options: Options, video: Path) -> Options:
    """What a clip's video says that the user did not."""
    info = probe(video)
    return replace(options, size=options.size or info.size, fps=options.fps or info.fps)


def import_poses(reading: Reading, cache: PoseCache, quality: Quality, progress: Progress) -> ReadingReport:
    """Read every clip that the cache does not hold yet and save it.

    Returns:
        What was done, skipped and failed; a clip that fails does not stop the others.

    Raises:
        FormatError: if there are no files.
        CacheError: if the cache cannot be written.
    """
    report, settings = ReadingReport(), reading.settings

    def there(key: str) -> bool:
        return cache.has(quality, settings, key)

    for sequence in read_clips(reading, report, progress, there):
        cache.save(sequence, quality, settings)
    return report


def cache_format() -> Format:
    """A folder of the cache, ``pose_cache/high/NAME``, read like a foreign format."""
    return Format(
        "cache",
        _cached_files,
        lambda file, root, say: map(PoseCache(root).load, (file,)),
        frozenset(),
    )


def _cached_files(folder: Path) -> tuple[Path, ...]:
    paths = tuple(sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith(".")))
    if not paths:
        raise FormatError(f"no sequences in {folder}; expected a folder such as pose_cache/high/NAME")
    return paths
