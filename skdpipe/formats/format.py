"""Records that describe a format: how its files are found, read and written, and the options it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from skdpipe.errors import ConfigError
from skdpipe.formats.class_names import read_class_names
from skdpipe.formats.defaults import FPS
from skdpipe.skeleton import PoseSequence

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
        ConfigError: if a side of the size is smaller than 1.
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
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"size {self.size[0]} {self.size[1]}; expected a width and a height in pixels")

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
class Format:
    """A format that can be read.

    Attributes:
        name: its name on the command line.
        find: lists the files under a path, one or more.
        read: yields the clips of a file, given the file, the path that the user named, and the options. If a
            file holds several clips, the iterator can be continued after a clip that raises.
        options: names of the `FormatOptions` that it takes.
        key_of: computes the key of a file's only clip before the file is read; None if files hold several
            clips.
        cache_folder: cache folder of an import without options; by default the name.
        suffix: file suffix that no other format has, or empty.
    """

    name: str
    find: Callable[[Path], tuple[Path, ...]]
    read: Callable[[Path, Path, FormatOptions], Iterator[PoseSequence]]
    options: frozenset[str] = frozenset()
    key_of: Callable[[Path], str] | None = None
    cache_folder: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class Target:
    """A format that can be written.

    Attributes:
        name: its name on the command line.
        write: writes the clips to a path and returns their number.
        options: names of the `FormatOptions` that it takes.
        suffix: file suffix that no other format has, or empty.
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
