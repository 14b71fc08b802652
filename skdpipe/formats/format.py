"""Records that describe a format: how its files are found, read and written, and the options it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

from skdpipe.errors import ConfigError, DataError, FormatError, SkdpipeError, in_one_line
from skdpipe.formats.class_names import read_class_names
from skdpipe.formats.clip_names import distinct_names, path_below
from skdpipe.formats.defaults import FPS
from skdpipe.names import require_label, require_path
from skdpipe.regular_file import require_regular
from skdpipe.skeleton import PoseSequence, clip_key
from skdpipe.skeleton.plausible import HIGHEST_FPS, LARGEST_SIDE, LOWEST_FPS, require_plausible

T = TypeVar("T")
_MOST_IN_ARRAY: Final = 100_000  # frames or people
Note = Callable[[str, int], None]
"""Receives what was left out or changed while reading, and how often: ``("names without a clip", 12)``."""


SizeOf = Callable[[tuple[str, ...]], tuple[int, int] | None]
"""Width and height of the video of a clip, by the clip's path; None without a video."""


def ignore_note(what: str, count: int) -> None:
    """The `Note` of a caller that needs none."""


Space = Literal["image", "camera"]


@dataclass(frozen=True)
class FormatOptions:
    """Options for reading and writing foreign skeletons; None means not given.

    Attributes:
        split: name of the pair of splits, for example ``xsub``.
        layout: name of the layout of the joints, or the path of a YAML file that describes it.
        labels: text file with the class names, one per line, class 0 first.
        size: width and height of the frames in pixels.
        fps: frames per second.
        images: COCO file with the names of the images.
        frames, people: frames and people of an ST-GCN array.
        space: ``image`` for pixels, ``camera`` for the three coordinates of the sensor in its unit.

    Raises:
        ConfigError: if a number is out of range: sides and rates as `skdpipe.skeleton.plausible` bounds them.
    """

    split: str | None = None
    layout: str | None = None
    labels: Path | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    images: Path | None = None
    frames: int | None = None
    people: int | None = None
    space: Space | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not all(1 <= side <= LARGEST_SIDE for side in self.size):
            raise ConfigError(
                f"size {self.size[0]} {self.size[1]}; expected a width and a height in pixels, of at most "
                f"{LARGEST_SIDE}"
            )
        if self.fps is not None and not LOWEST_FPS <= self.fps <= HIGHEST_FPS:
            raise ConfigError(f"fps {self.fps:g}; expected {LOWEST_FPS:g} to {HIGHEST_FPS:g}")
        for name, number in (("frames", self.frames), ("people", self.people)):
            if number is not None and not 1 <= number <= _MOST_IN_ARRAY:
                raise ConfigError(f"{name} {number}; expected 1 to {_MOST_IN_ARRAY}")

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in order; empty if no file is given."""
        return read_class_names(self.labels) if self.labels else ()

    @property
    def fps_or_default(self) -> float:
        """Frames per second, or `FPS` if not given."""
        return self.fps or FPS

    @property
    def given(self) -> frozenset[str]:
        """The names of the options that are given."""
        return frozenset(each.name for each in fields(self) if getattr(self, each.name) is not None)


@dataclass(frozen=True)
class Surroundings:
    """What the reader of a file may need beyond the file and the options.

    Attributes:
        clip: name of the file's clip, see `skdpipe.formats.clip_names`; by default that of the file.
        note: receives what is left out or changed.
        size_of: the sizes of the clips' videos; None if no videos are given.
    """

    clip: str = ""
    note: Note = ignore_note
    size_of: SizeOf | None = None


NO_SURROUNDINGS = Surroundings()


class ReadFile(Protocol):
    """Yields the clips of a file, given the file, the path that the user named, and the options.

    If a file holds several clips, the iterator can be continued after a clip that raises.
    """

    def __call__(
        self, file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
    ) -> Iterator[PoseSequence]: ...


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
        path: the file.
        clip_path: the clip's folders below the path that the user named, and its name.
        clip: the name that identifies the clip: the last part of the path or the whole path.
    """

    path: Path
    clip_path: tuple[str, ...]
    clip: str


@dataclass(frozen=True)
class Format:
    """A format that can be read.

    Attributes:
        name: its name on the command line.
        find: lists the files under a path, one or more.
        read: yields the clips of a file.
        options: names of the `FormatOptions` that it takes.
        one_clip: whether each file holds one clip.
        key_of: computes the key of a file's only clip before the file is read; by default from
            `InputFile.clip`.
        named_by: the file or folder that a file's clip is named after; by default the file.
        left_out: counts the clips under a path that ``find`` leaves out, by the reason.
        cache_folder: cache folder of an import without options; by default the name.
        suffix: end of the file names that no other format has, or empty; of two that fit, the longer counts.
        json_keys: a JSON file of the format has all keys of one of these sets, see `recognise.json_keys`.
        axes: number of axes of its ``.npy`` files, 0 if it has none.
    """

    name: str
    find: Callable[[Path], tuple[Path, ...]]
    read: ReadFile
    options: frozenset[str] = frozenset()
    one_clip: bool = False
    key_of: Callable[[Path], str] | None = None
    named_by: Callable[[Path], Path] = lambda file: file
    left_out: Callable[[Path], Mapping[str, int]] = lambda path: {}
    cache_folder: str = ""
    suffix: str = ""
    json_keys: tuple[frozenset[str], ...] = ()
    axes: int = 0

    def files(self, root: Path) -> tuple[InputFile, ...]:
        """The files under a path, with names that are distinct.

        Raises:
            FormatError: if there are none, or they cannot be listed.
        """
        try:
            paths = self.find(root)
        except SkdpipeError:
            raise
        except Exception as error:
            raise unexpected(error, root) from error
        clip_paths = [path_below(root, self.named_by(path)) for path in paths]
        names = distinct_names(clip_paths)
        return tuple(map(InputFile, paths, clip_paths, names))

    def key_of_file(self, file: InputFile) -> str:
        """The key of the only clip of a file.

        Raises:
            FormatError: if the key is of the content, and the file cannot be read.
        """
        return self.key_of(file.path) if self.key_of else clip_key(file.clip)

    def read_file(
        self,
        file: InputFile,
        root: Path,
        options: FormatOptions,
        around: Surroundings = NO_SURROUNDINGS,
    ) -> Iterator[PoseSequence]:
        """The clips of a file, as `read`, with the keys of their distinct names.

        Raises:
            FormatError: immediately if the path is a named pipe or a device, and on the way for each clip
                that has a name or a label as none can be.
        """
        try:
            require_regular(file.path)
        except OSError as error:
            raise FormatError(f"{file.path} cannot be read ({error.strerror}); expected a file") from error
        clips = map(_require_plain, self.read(file.path, root, options, replace(around, clip=file.clip)))
        if not self.one_clip:
            return clips
        key = self.key_of_file(file)
        return (replace(clip, origin=replace(clip.origin, key=key)) for clip in clips)


def _require_plain(clip: PoseSequence) -> PoseSequence:
    """The clip, if its values are plausible, and its source and labels can be stored as text."""
    origin = clip.origin
    try:
        require_path(origin.source)
        for what in ("label", "split", "subject"):
            if (value := getattr(origin, what)) is not None:
                require_label(value, origin.source, what)
    except DataError as error:
        error.kind = re.sub(r"\d+", "0", str(error).replace(origin.source, ""))
        raise
    try:
        require_plausible(clip)
    except DataError as error:
        implausible = FormatError(f"{origin.source}: {error}; correct the clip, or leave it out")
        implausible.kind = re.sub(r"[\d.]+", "0", str(error))
        raise implausible from error
    return clip


def unexpected(error: Exception, where: object) -> FormatError:
    """The error for a file or clip at which a reader failed in a way that it does not expect."""
    if isinstance(error, OSError):
        return FormatError(f"{where} cannot be read ({in_one_line(error)}); expected a file that can be read")
    if isinstance(error, MemoryError):
        return FormatError(f"{where} takes more memory than there is; expected a smaller file: divide it")
    return FormatError(
        f"{where} cannot be read ({in_one_line(error)}); expected other content: leave it out, and report it "
        "as a fault of skdpipe"
    )


def read_each(
    path: Path, items: Iterable[T], read: Callable[[T], PoseSequence], describe: Callable[[T], str]
) -> Iterator[PoseSequence]:
    """The clips of a file with several; the iterator can be continued after a clip that raises anything.

    Args:
        path: the file.
        items: what the file holds for each clip.
        read: the clip of an item; may raise.
        describe: the words for the clip in errors, which are left out of the `kind` of an error.

    Raises:
        SkdpipeError: for each clip that cannot be read, whatever ``read`` raised.
    """

    def read_one(item: T) -> PoseSequence:
        try:
            return read(item)
        except SkdpipeError as error:
            error.kind = re.sub(r"\d+", "0", str(error).replace(describe(item), ""))
            raise
        except Exception as error:
            failure = unexpected(error, f"{path}: {describe(item)}")
            failure.kind = f"unexpected {type(error).__name__}"
            raise failure from error

    return map(read_one, items)


@dataclass(frozen=True)
class Target:
    """A format that can be written.

    Attributes:
        name: its name on the command line.
        write: writes the clips to a path and returns their number.
        options: names of the `FormatOptions` that it takes.
        suffix: end of the file names that no other format has, or empty; of two that fit, the longer counts.
    """

    name: str
    write: Callable[[Iterable[PoseSequence], Path, FormatOptions], int]
    options: frozenset[str] = frozenset()
    suffix: str = ""


def refuse_useless(options: FormatOptions, formats: Iterable[Format | Target]) -> None:
    """Refuse options that none of the formats takes.

    Raises:
        ConfigError: if there is one; the message names it.
    """
    formats = tuple(formats)
    taken = frozenset[str]().union(*(each.options for each in formats))
    useless = options.given - taken
    if useless:
        names = " and ".join(dict.fromkeys(each.name for each in formats))
        known = ", ".join(f"--{name}" for name in sorted(taken))
        raise ConfigError(f"{names} cannot use --{min(useless)}: leave it out; expected {known or 'none'}")
